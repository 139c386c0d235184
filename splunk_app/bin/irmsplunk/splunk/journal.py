"""The app's log: one JSON object a line, in $SPLUNK_HOME/var/log/splunk, so that `_internal` has it.

Holds who did what and what became of it; never a secret, a token, a row's value or the text of a
reply (which may quote a row). Several processes write: each line is one append. A log that cannot
be written stops nothing.
"""

from __future__ import annotations

import json
import os
from typing import Any

from irmcore import __version__
from irmcore.clock import Clock, iso
from irmcore.disk import system_disk

FILE = "irmexport.log"
#: Bytes from which on a log is turned over.
LIMIT = 20 * 1024 * 1024


class Journal:
    """``part`` names the process: command, alert, sender or rest."""

    def __init__(self, directory: str, clock: Clock, part: str) -> None:
        self._path = os.path.join(directory, FILE)
        self._clock = clock
        self._part = part

    def write(self, level: str, event: str, **fields: Any) -> None:
        """Append an event; json escapes control characters, so a value cannot forge a line."""
        record = {
            "time": iso(self._clock.now()),
            "level": level,
            "part": self._part,
            "event": event,
            "pid": os.getpid(),
            "version": __version__,
            **fields,
        }
        append(self._path, json.dumps(record, default=str).encode("ascii") + b"\n")


def append(path: str, line: bytes) -> None:
    """Append a whole line to a log of mode 0600, of which one older file is kept; a full disk loses it."""
    _turn_over(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError:
        return


def _turn_over(path: str) -> None:
    """Rename a full log, under a lock of the file that bears the name.

    Two processes may find it full: the second would put the new file in the place of the older one, so it
    looks again once it has the lock. A line that was on its way goes to the older file. A log that cannot
    be renamed grows on.
    """
    try:
        if os.stat(path).st_size <= LIMIT:
            return
        held = system_disk().try_lock(path)
        if held is None:
            return
        try:
            if os.stat(path).st_size > LIMIT:
                os.replace(path, f"{path}.1")
        finally:
            held.release()
    except OSError:
        return
