"""Run ids, and the reject files, which are named after their runs."""

from __future__ import annotations

import re
import secrets
import time

from irmcore.outbox.outbox import Outbox

_REJECT_FILE = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]+\.csv")


def new_run_id(now: float) -> str:
    """A new id that sorts by its time: ``20260102T030405Z-`` and eight random digits."""
    return f"{_stamp(now)}-{secrets.token_hex(4)}"


def _stamp(moment: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))


def delete_before(outbox: Outbox, moment: float) -> None:
    """Delete the reject files of runs that began before ``moment``. Raises OSError."""
    oldest = _stamp(moment)
    for name in outbox.disk.names(f"{outbox.path}/rejects"):
        if _REJECT_FILE.fullmatch(name) and name < oldest:
            outbox.disk.remove(f"{outbox.path}/rejects/{name}")


def reject_files(outbox: Outbox) -> list[str]:
    """The paths of the connector's reject files, oldest first."""
    names = outbox.disk.names(f"{outbox.path}/rejects")
    return [f"{outbox.path}/rejects/{name}" for name in names if name.endswith(".csv")]
