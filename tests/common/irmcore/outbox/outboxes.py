"""Boxes and batches for the tests of the outbox."""

from __future__ import annotations

from typing import Any

from irmcore.counts import Counts
from irmcore.outbox import Batch, Destination, Draft, Manifest, Origin, Outbox

from tests.fakes.clock import FakeClock
from tests.fakes.powerloss import PowerLossDisk

WHERE = Destination("purview-indicators", {"job_id": "j"}, "hold")
PATH = "/outbox/small"
TMP = "tmp"
DAY = 86_400.0


def make(name: str = "small", disk: PowerLossDisk | None = None) -> Outbox:
    """A new box."""
    if disk is None:
        disk = PowerLossDisk()
        disk.make_dir("/outbox")
    outbox = Outbox(disk, FakeClock(), f"/outbox/{name}")
    outbox.create()
    return outbox


def left(outbox: Outbox) -> list[str]:
    """What lies in the bays under tmp/: of runs that are alive, or died and were not swept yet."""
    tmp = f"{outbox.path}/{TMP}"
    return [name for bay in outbox.disk.names(tmp) for name in outbox.disk.names(f"{tmp}/{bay}")]


def draft(payload: bytes) -> Draft:
    """A batch of one row to be."""
    return Draft(payload, "text/csv", WHERE, 1, lambda name: b"keys of " + name[:4])


def described(name: str, given: Draft, part: int, sums: dict[str, Any]) -> Manifest:
    """The manifest of a ``draft``."""
    return Manifest(
        id=name,
        destination=given.destination,
        content_type=given.content_type,
        rows=given.rows,
        run="run",
        part=part + 1,
        parts=1,
        accepted=0.0,
        origin=Origin("anna", "h", "cli"),
        profile={},
        counts=Counts(read=1, shaped=1),
        tool="irmexport",
        **sums,
    )


def accept(outbox: Outbox, *payloads: bytes, run: str = "run") -> list[Batch]:
    """Accept batches, and give them as they stand in ready/."""
    staging = outbox.stage(run)
    for payload in payloads:
        staging.add(draft(payload))
    staging.prepare(described)
    names = staging.accept()
    staging.close()
    return [outbox.reload(name) for name in names]
