"""Directories under ``tmp/`` that one process has to itself for a while: there batches are made and unmade.

A bay and its lock stay, empty, for whoever comes next. To make and remove them for every run would be four
changes of names, and dear ones: ext4 does not reuse an inode that was freed in the last minutes and looks at
each of those whenever it makes a file, so that what one batch removes slows the next ones down (measured in
benchmarks/README.md).
"""

from __future__ import annotations

import itertools
import re

from irmcore.disk import Disk, Lock

_BAY = re.compile(r"[0-9]{1,9}")


class Bay:
    """An empty directory at ``path``, until ``close``."""

    def __init__(self, disk: Disk, path: str, lock: Lock) -> None:
        self.path = path
        self._disk = disk
        self._lock = lock

    def close(self) -> None:
        """Remove what is left in it, and leave it to others. Raises OSError; then the next one clears it."""
        try:
            _clear(self._disk, self.path)
        finally:
            self._lock.release()


def take(disk: Disk, tmp: str) -> Bay:
    """The first bay under ``tmp`` that no live process has. Raises OSError."""
    for number in itertools.count():
        path = f"{tmp}/{number}"
        # The lock comes before the directory: what is in a bay without a live lock may be removed.
        lock = disk.try_lock(f"{path}.lock")
        if lock is None:
            continue
        try:
            if disk.exists(path):
                _clear(disk, path)
            else:
                disk.make_dir(path)
        except BaseException:
            lock.release()
            raise
        return Bay(disk, path, lock)
    raise AssertionError("numbers do not end")


def sweep(disk: Disk, tmp: str) -> None:
    """Remove what processes that died have left in their bays. Raises OSError."""
    for name in disk.names(tmp):
        path = f"{tmp}/{name}"
        if _BAY.fullmatch(name) and disk.names(path):
            lock = disk.try_lock(f"{path}.lock")
            if lock is not None:
                Bay(disk, path, lock).close()


def _clear(disk: Disk, path: str) -> None:
    for name in disk.names(path):
        disk.remove_tree(f"{path}/{name}")
