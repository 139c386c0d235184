"""Files as a seam: the few operations that durability rests on, one method each.

What is promised: data handed to ``create``/``write_at``/``append`` survives a power loss after
``sync`` of the file (``sync=True``: when they return), a name after ``sync_dir`` of its directory. Modes
are 0600 and 0700 whatever the umask. Errors are OSError, as the system gives them; who calls decides
what they mean. Paths are text and never come from user data.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from typing import Protocol

if sys.platform != "win32":
    import fcntl

    _FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


#: What a disk answers for a file that it cannot give any more: the fault of that file, not of all.
BAD_FILE_ERRNOS = frozenset(
    {errno.EIO, errno.EBADMSG, errno.EISDIR, errno.ELOOP, getattr(errno, "EUCLEAN", errno.EIO)}
)


class Lock(Protocol):
    """A lock that dies with its process."""

    def release(self) -> None: ...


class Disk(Protocol):
    """What outbox and ledger need of a file system."""

    def read(self, path: str) -> bytes: ...

    def create(self, path: str, data: bytes, *, sync: bool = False) -> None: ...

    def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None: ...

    def append(self, path: str, data: bytes, *, sync: bool = False) -> None: ...

    def sync(self, path: str) -> None: ...

    def sync_dir(self, path: str) -> None: ...

    def make_dir(self, path: str) -> None: ...

    def rename(self, old: str, new: str) -> None: ...

    def remove(self, path: str) -> None: ...

    def remove_tree(self, path: str) -> None: ...

    def names(self, path: str) -> list[str]: ...

    def exists(self, path: str) -> bool: ...

    def size(self, path: str) -> int: ...

    def free_bytes(self, path: str) -> int: ...

    def try_lock(self, path: str) -> Lock | None: ...


class PosixDisk:
    """Linux and macOS."""

    def read(self, path: str) -> bytes:
        with open(path, "rb", buffering=0) as file:
            return file.read()

    def create(self, path: str, data: bytes, *, sync: bool = False) -> None:
        """A new file with ``data``. Raises FileExistsError if there is one."""
        self._write(path, os.O_CREAT | os.O_EXCL, data, 0, sync=sync)

    def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None:
        """Overwrite in place, or grow the file, which must exist."""
        self._write(path, 0, data, offset, sync=sync)

    def append(self, path: str, data: bytes, *, sync: bool = False) -> None:
        """Add to the end of a file, which is made if there is none."""
        self._write(path, os.O_CREAT | os.O_APPEND, data, 0, sync=sync)

    def _write(self, path: str, flags: int, data: bytes, offset: int, *, sync: bool) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
        try:
            if flags & os.O_CREAT:
                _unmask(descriptor)
            _put(descriptor, data, offset)
            if sync:
                _flush(descriptor)
        finally:
            os.close(descriptor)

    def sync(self, path: str) -> None:
        """Wait until the file's data are on the medium."""
        self._fsync(path, os.O_RDWR)

    def sync_dir(self, path: str) -> None:
        """Wait until the names in the directory are on the medium."""
        self._fsync(path, os.O_RDONLY | os.O_DIRECTORY)

    def _fsync(self, path: str, flags: int) -> None:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        try:
            _flush(descriptor)
        finally:
            os.close(descriptor)

    def make_dir(self, path: str) -> None:
        """A new directory. Raises FileExistsError if there is one."""
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def remove_tree(self, path: str) -> None:
        """Remove a file, or a directory and what is in it; it need not exist."""
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        except FileNotFoundError:
            return

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted; none if it does not exist, or is none."""
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, path: str) -> bool:
        return os.access(path, os.F_OK)  # half the price of lstat's exception for a name that is not there

    def size(self, path: str) -> int:
        return os.stat(path).st_size

    def free_bytes(self, path: str) -> int:
        """Bytes that this user may still write to the file system of ``path``."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def try_lock(self, path: str) -> Lock | None:
        """The lock on ``path``, or None if another live process (or holder here) has it.

        A lock's file stays: whoever removed one that is held would let a second holder in.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _unmask(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return None
            raise
        return _Held(descriptor)


def _unmask(descriptor: int) -> None:
    """Mode 0600 also under a umask that takes that from its owner; to set it always would be a write."""
    if os.fstat(descriptor).st_mode & 0o777 != 0o600:
        os.fchmod(descriptor, 0o600)


def _put(descriptor: int, data: bytes, offset: int) -> None:
    """All of ``data``, from ``offset`` on: a write may take less than it is given."""
    if offset:
        os.lseek(descriptor, offset, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _flush(descriptor: int) -> None:
    """fsync; on macOS F_FULLFSYNC, as fsync leaves the data in the drive's own cache there (fsync(2)).

    That branch was written from Apple's manual and NOT EXECUTED: no macOS has run it so far.
    """
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(descriptor, _FULL_SYNC)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.ENOTTY, errno.EINVAL):
                raise
        else:
            return
    os.fsync(descriptor)  # also on a file system of macOS that has no F_FULLFSYNC


class _Held:
    """An open descriptor with a kernel lock on it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class WindowsDisk(PosixDisk):
    """The same on Windows. NOT EXECUTED: written from the documentation, run on no Windows so far.

    A directory cannot be flushed there, so a name is as durable as NTFS's own journal makes it;
    modes are left to the directory's access list.
    """

    def _write(self, path: str, flags: int, data: bytes, offset: int, *, sync: bool) -> None:
        binary = getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, os.O_WRONLY | binary | flags, 0o600)
        try:
            _put(descriptor, data, offset)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _fsync(self, path: str, flags: int) -> None:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_dir(self, path: str) -> None:
        return

    def make_dir(self, path: str) -> None:
        os.mkdir(path)

    def free_bytes(self, path: str) -> int:
        return shutil.disk_usage(path).free

    def try_lock(self, path: str) -> Lock | None:
        import msvcrt  # noqa: PLC0415 - only on Windows

        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            os.close(descriptor)
            return None
        return _Held(descriptor)


def make_dirs(disk: Disk, path: str) -> None:
    """Make a directory, and those above it that are missing, each durably. Raises OSError."""
    if disk.exists(path):
        return
    parent = os.path.dirname(path)
    make_dirs(disk, parent)
    try:
        disk.make_dir(path)
    except FileExistsError:
        return  # another process was first, and syncs it
    disk.sync_dir(parent)


def system_disk() -> Disk:
    """The disk of this operating system."""
    return WindowsDisk() if sys.platform == "win32" else PosixDisk()
