"""The app's log: one JSON object per line in $SPLUNK_HOME/var/log/splunk, indexed in `_internal`.

It records who did what with which result; never a secret, a token, a row value or the text of a reply, which
may quote a row. Several processes write it, each line in one append. A log that cannot be written stops
nothing.
"""

from __future__ import annotations

import json
import os
import traceback
from typing import Any

from irmcore import __version__
from irmcore.clock import Clock, iso
from irmcore.disk import system_disk

FILE = "irmexport.log"
#: Bytes after which a log is rotated.
LIMIT = 20 * 1024 * 1024


class AppLog:
    """``part`` names the process: command, alert, sender or rest."""

    def __init__(self, directory: str, clock: Clock, part: str) -> None:
        self._path = os.path.join(directory, FILE)
        self._clock = clock
        self._part = part

    def write(self, level: str, event: str, **fields: Any) -> None:
        """Append an event. JSON escapes control characters, so a value cannot forge a line."""
        record = {
            "time": iso(self._clock.now()),
            "level": level,
            "part": self._part,
            "event": event,
            "pid": os.getpid(),
            "version": __version__,
            **fields,
        }
        append_line(self._path, json.dumps(record, default=str).encode("ascii") + b"\n")


def place_of(error: BaseException) -> str:
    """Where an error was raised, as file:line. Its text may quote a row."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{os.path.basename(at.filename)}:{at.lineno}"


def append_line(path: str, line: bytes) -> None:
    """Append a line to a log of mode 0600, keeping one older file. A full disk loses the line."""
    _rotate_if_full(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError:
        return


def _rotate_if_full(path: str) -> None:
    """Rename a full log to `.1`, under a lock on the file of that name.

    Two processes may find the log full. Without the second check, the one that gets the lock later would
    replace the older file with the new, nearly empty one. A line in flight goes to the older file. A log that
    cannot be renamed keeps growing.
    """
    try:
        if os.stat(path).st_size <= LIMIT:
            return
        lock = system_disk().try_lock(path)
        if lock is None:
            return
        try:
            if os.stat(path).st_size > LIMIT:
                os.replace(path, f"{path}.1")
        finally:
            lock.release()
    except OSError:
        return
