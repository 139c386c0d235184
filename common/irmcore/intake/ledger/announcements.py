"""Announcements of runs: which batches a run is about to accept.

An announcement is durable before the first of its batches is accepted, and discarded after the ledger has
their rows. If one is found later, its run was interrupted, and its batches have to be merged again.
"""

from __future__ import annotations

import json
import re

from irmcore.disk import Disk

_RUN = re.compile(r"[0-9A-Za-z-]+")


class Announcements:
    """The files under ``pending/`` of a ledger, one for each run. Raises OSError."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self.path = path

    def announce(self, run: str, batches: list[str]) -> None:
        """Record, durably, that these batches are about to be accepted."""
        self._disk.create(f"{self.path}/{run}", json.dumps(batches).encode("ascii"), sync=True)
        self._disk.sync_dir(self.path)

    def all(self) -> dict[str, list[str]]:
        """The announcements of interrupted runs: run → batch ids.

        An unreadable one was being written when its run was killed: none of its batches was accepted.
        """
        found: dict[str, list[str]] = {}
        for run in filter(_RUN.fullmatch, self._disk.names(self.path)):
            try:
                found[run] = [str(batch) for batch in json.loads(self._disk.read(f"{self.path}/{run}"))]
            except (ValueError, TypeError, RecursionError):
                found[run] = []
        return found

    def discard(self, run: str) -> None:
        """Remove an announcement. It may come back after a power loss; merging again changes nothing."""
        path = f"{self.path}/{run}"
        if self._disk.exists(path):  # a rebuild of the ledger discards them all
            self._disk.remove(path)
