"""Directories under ``tmp/`` that one process has to itself for a while: there batches are made and unmade.

A bay and its lock stay, empty, for whoever comes next. To make and remove them for every run would be four
changes of names, and dear ones: ext4 does not reuse an inode that was freed in the last minutes and looks at
each of those whenever it makes a file, so that what one batch removes slows the next ones down (measured in
benchmarks/README.md).
"""

from __future__ import annotations

import errno
import os
import re

from irmcore.disk import BAD_FILE_ERRNOS, Disk, Lock

_BAY = re.compile(r"[0-9]{1,9}")
#: No machine has as many runs at a time.
_MOST = 1_000
#: What is the fault of one bay (another user's, or with a file that the disk cannot give), not of the disk.
_OF_ONE = BAD_FILE_ERRNOS | {errno.EACCES, errno.EPERM, errno.ENOTDIR}


class Bay:
    """An empty directory at ``path``, until ``close`` or ``leave``."""

    def __init__(self, disk: Disk, path: str, lock: Lock) -> None:
        self.path = path
        self._disk = disk
        self._lock: Lock | None = lock

    def close(self) -> None:
        """Remove what is left in it, and leave it to others. Raises OSError; then the next one clears it."""
        if self._lock is not None:
            try:
                _clear(self._disk, self.path)
            finally:
                self.leave()

    def leave(self) -> None:
        """Leave it to others as it is."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def take(disk: Disk, tmp: str) -> Bay:
    """The first bay under ``tmp`` that no live process has and that can be cleared. Raises OSError."""
    fault = OSError(errno.EBUSY, os.strerror(errno.EBUSY), tmp)
    for number in range(_MOST):
        try:
            bay = _take(disk, f"{tmp}/{number}")
        except OSError as error:
            if error.errno not in _OF_ONE:
                raise
            fault = error
        else:
            if bay is not None:
                return bay
    raise fault


def _take(disk: Disk, path: str) -> Bay | None:
    # The lock comes before the directory: what is in a bay without a live lock may be removed.
    lock = disk.try_lock(f"{path}.lock")
    if lock is None:
        return None
    try:
        if disk.exists(path):
            _clear(disk, path)
        else:
            disk.make_dir(path)
    except BaseException:
        lock.release()
        raise
    return Bay(disk, path, lock)


def sweep(disk: Disk, tmp: str) -> None:
    """Remove what processes that died have left in their bays, where it can be removed. Raises OSError."""
    for name in filter(_BAY.fullmatch, disk.names(tmp)):
        try:
            _sweep(disk, f"{tmp}/{name}")
        except OSError as error:
            if error.errno not in _OF_ONE:
                raise


def _sweep(disk: Disk, path: str) -> None:
    if disk.names(path):
        lock = disk.try_lock(f"{path}.lock")
        if lock is not None:
            Bay(disk, path, lock).close()


def _clear(disk: Disk, path: str) -> None:
    for name in disk.names(path):
        disk.remove_tree(f"{path}/{name}")
