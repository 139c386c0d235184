"""Outboxes and batches for the tests."""

from __future__ import annotations

from irmcore.counts import Counts
from irmcore.outbox import Batch, Destination, Draft, Origin, Outbox, Run, Staging, audit_log
from irmcore.outbox.rowkeys import RowKey, pack

from tests.fakes.clock import FakeClock
from tests.fakes.powerloss import PowerLossDisk

WHERE = Destination("purview-indicators", {"job_id": "j"}, "hold")
PATH = "/outbox/small"
TMP = "tmp"
DAY = 86_400.0


def make(name: str = "small", disk: PowerLossDisk | None = None) -> Outbox:
    """A new outbox."""
    if disk is None:
        disk = PowerLossDisk()
        disk.make_dir("/outbox")
    outbox = Outbox(disk, FakeClock(), f"/outbox/{name}")
    outbox.create()
    return outbox


def pass_days(outbox: Outbox, days: float) -> None:
    """Let days pass in which the connector is used: there is a run every month."""
    while days > 0:
        outbox.clock.sleep(min(days, 30.0) * DAY)
        days -= 30.0
        audit_log.append(outbox, {"event": "run"})


def left(outbox: Outbox) -> list[str]:
    """The contents of the staging directories: of live runs, and of dead ones until they are cleared."""
    tmp = f"{outbox.path}/{TMP}"
    return [name for directory in outbox.disk.names(tmp) for name in outbox.disk.names(f"{tmp}/{directory}")]


def record(batch: bytes) -> bytes:
    """The record of ``rowkeys`` of the one row of a batch."""
    return pack([RowKey(1, b"k" * 24, 20_412, batch[:8])])


def draft(payload: bytes) -> Draft:
    """A draft of one row."""
    return Draft(payload, "text/csv", WHERE, 1, record)


RUN = Run("run", 0.0, Origin("anna", "h", "cli"), {}, Counts(read=1, shaped=1), "irmexport")


def accept(outbox: Outbox, *payloads: bytes) -> list[Batch]:
    """Accept batches, and return them as they are in ready/."""
    with Staging(outbox) as staging:
        for payload in payloads:
            staging.add(draft(payload))
        staging.prepare(RUN)
        staging.accept()
        names = staging.ids()
    return [outbox.get(name) for name in names]
