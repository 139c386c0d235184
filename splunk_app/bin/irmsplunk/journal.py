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

FILE = "irmexport.log"
_LIMIT = 20 * 1024 * 1024


class Journal:
    """``part`` names the process: command, sender or rest."""

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
        line = json.dumps(record, default=str).encode("ascii") + b"\n"
        try:
            self._turn_over()
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError:
            return

    def _turn_over(self) -> None:
        """Keep one older file. Two processes that do it at once lose no line: a rename moves them all."""
        try:
            if os.stat(self._path).st_size > _LIMIT:
                os.rename(self._path, f"{self._path}.1")
        except FileNotFoundError:
            return
