"""Run ids, and the files named after runs: reject files, and what became of promoted runs."""

from __future__ import annotations

import re
import secrets
import time

from irmcore.outbox.outbox import Outbox

#: The beginning of a run id, which says when the run began.
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z(?=-)")
_RUN = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]+")
_FILE = re.compile(rf"{_RUN.pattern}(-of-({_RUN.pattern}|unknown))?\.(csv|json)")
_FOLDERS = ("rejects", "promoted")
#: Between the id of a file of rejects and the run that it belongs to, if that has another file.
_OF = "-of-"


def new_run_id(now: float) -> str:
    """A new id that sorts by its time: ``20260102T030405Z-`` and eight random digits."""
    return f"{_stamp(now)}-{secrets.token_hex(4)}"


def _stamp(moment: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))


def is_newer(run: str, than: str) -> bool:
    """Whether a run began in a later second than another. Names that are no run ids are newer than none."""
    one, other = _STAMP.match(run), _STAMP.match(than)
    return one is not None and other is not None and one[0] > other[0]


def delete_before(outbox: Outbox, moment: float) -> None:
    """Delete the files of runs that began before ``moment``. Raises OSError."""
    oldest = _stamp(moment)
    for folder in _FOLDERS:
        for name in outbox.disk.names(f"{outbox.path}/{folder}"):
            if _FILE.fullmatch(name) and name < oldest:
                outbox.disk.remove(f"{outbox.path}/{folder}/{name}")


def promoted_file(run: str) -> str:
    """The file with what became of a run that was promoted. ``run`` may be any text."""
    return f"{_FOLDERS[1]}/{run if _RUN.fullmatch(run) else 'unknown'}.json"


def reject_file_of_promotion(run: str, now: float) -> str:
    """The file for rows of ``run`` that are refused while it is promoted. It is as old as the promotion."""
    return f"rejects/{new_run_id(now)}{_OF}{run if _RUN.fullmatch(run) else 'unknown'}.csv"


def is_of_promotion(path: str) -> bool:
    """Whether a reject file has rows as they would have been sent, not as they were read."""
    return _OF in path.rpartition("/")[2]


def reject_files(outbox: Outbox, run: str = "") -> list[str]:
    """The paths of the connector's reject files, oldest first, of runs whose ids begin with ``run``."""
    names = outbox.disk.names(f"{outbox.path}/rejects")
    found = (name for name in names if name.endswith(".csv"))
    return [f"{outbox.path}/rejects/{name}" for name in found if name.startswith(run) or _OF + run in name]
