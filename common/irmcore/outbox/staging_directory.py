"""Directories under ``tmp/`` that one process uses exclusively, to build or delete batches in.

A directory and its lock file stay, empty, for the next process. Creating and removing them for each run
would cost four directory operations, which are slow on ext4: it does not reuse an inode that was freed in
the last minutes and checks each of those when it creates a file, so what one batch deletes slows the next
ones down (measured in benchmarks/README.md).
"""

from __future__ import annotations

import errno
import os
import re

from irmcore.disk import BAD_FILE_ERRNOS, Disk, Lock

_NAME = re.compile(r"[0-9]{1,9}")
#: More than any machine has runs at a time.
_LIMIT = 1_000
#: Errors of one directory (another user's, or with a file that the disk cannot read), not of the disk.
_OF_ONE = BAD_FILE_ERRNOS | {errno.EACCES, errno.EPERM, errno.ENOTDIR}


class StagingDirectory:
    """An empty directory at ``path`` that no other process uses until ``close`` or ``release``."""

    def __init__(self, disk: Disk, path: str, lock: Lock) -> None:
        self.path = path
        self._disk = disk
        self._lock: Lock | None = lock

    def close(self) -> None:
        """Delete what is in it and release it. Raises OSError; then the next process deletes the rest."""
        if self._lock is not None:
            try:
                _clear(self._disk, self.path)
            finally:
                self.release()

    def release(self) -> None:
        """Let others have it as it is."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def acquire(disk: Disk, tmp: str) -> StagingDirectory:
    """The first directory under ``tmp`` that no live process has and that can be emptied. Raises OSError."""
    fault = OSError(errno.EBUSY, os.strerror(errno.EBUSY), tmp)
    for number in range(_LIMIT):
        try:
            directory = _acquire(disk, f"{tmp}/{number}")
        except OSError as error:
            if error.errno not in _OF_ONE:
                raise
            fault = error
        else:
            if directory is not None:
                return directory
    raise fault


def _acquire(disk: Disk, path: str) -> StagingDirectory | None:
    # Lock first: whatever is in a directory without a live lock may be deleted.
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
    return StagingDirectory(disk, path, lock)


def sweep(disk: Disk, tmp: str) -> None:
    """Delete what processes that died have left, where it can be deleted. Raises OSError."""
    for name in filter(_NAME.fullmatch, disk.names(tmp)):
        try:
            _sweep(disk, f"{tmp}/{name}")
        except OSError as error:
            if error.errno not in _OF_ONE:
                raise


def _sweep(disk: Disk, path: str) -> None:
    if disk.names(path):
        lock = disk.try_lock(f"{path}.lock")
        if lock is not None:
            StagingDirectory(disk, path, lock).close()


def _clear(disk: Disk, path: str) -> None:
    for name in disk.names(path):
        disk.remove_tree(f"{path}/{name}")
