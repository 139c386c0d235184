"""Run ids, and the files named after a run: its record in ``runs/`` and its rejects in ``rejects/``."""

from __future__ import annotations

import calendar
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

from irmcore.outbox import sealed
from irmcore.outbox.outbox import Outbox

_RUN_FILE = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]+\.(?:csv|json)")


def new_run_id(now: float) -> str:
    """A new id that sorts by its time: ``20260102T030405Z-`` and eight random digits."""
    return f"{_stamp(now)}-{secrets.token_hex(4)}"


def _stamp(moment: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))


def write_record(outbox: Outbox, run: str, record: Mapping[str, Any]) -> None:
    """Write the record of a run that ended, durably. Raises OSError."""
    outbox.disk.create(f"{outbox.path}/runs/{run}.json", sealed.encode(record), sync=True)
    outbox.disk.sync_dir(f"{outbox.path}/runs")


def read_records(outbox: Outbox) -> Iterator[dict[str, Any]]:
    """The records of all runs by name. A damaged one is a record with a ``problem``."""
    for name in outbox.disk.names(f"{outbox.path}/runs"):
        try:
            yield sealed.decode(outbox.disk.read(f"{outbox.path}/runs/{name}"))
        except ValueError:
            yield {"run": name, "problem": "this record is damaged"}


def delete_before(outbox: Outbox, folder: str, moment: float) -> None:
    """Delete the files in ``runs`` or ``rejects`` of runs that began before ``moment``. Raises OSError."""
    oldest = _stamp(max(moment, 0.0))
    for name in outbox.disk.names(f"{outbox.path}/{folder}"):
        if _RUN_FILE.fullmatch(name) and name < oldest:
            outbox.disk.remove(f"{outbox.path}/{folder}/{name}")


def times(outbox: Outbox) -> Iterator[float]:
    """When the runs on record began, in seconds since 1970."""
    for name in outbox.disk.names(f"{outbox.path}/runs"):
        if _RUN_FILE.fullmatch(name):
            try:
                yield float(calendar.timegm(time.strptime(name[:16], "%Y%m%dT%H%M%SZ")))
            except ValueError:
                continue  # no time, so not written by irmexport


def reject_files(outbox: Outbox) -> list[str]:
    """The paths of the connector's reject files, oldest first."""
    names = outbox.disk.names(f"{outbox.path}/rejects")
    return [f"{outbox.path}/rejects/{name}" for name in names if name.endswith(".csv")]
