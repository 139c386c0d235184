"""The disk as an interface: the few file operations that durability depends on.

Data given to ``create``, ``write_at`` or ``append`` survives a power loss after ``sync`` of the file, or when
the method returns if ``sync=True``. A name survives after ``sync_dir`` of its directory. Files have mode 0600
and directories 0700, whatever the umask. Errors are OSError as the system reports them; callers decide what
they mean. Paths are text and never come from user data.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, NamedTuple, Protocol

if sys.platform != "win32":
    import fcntl

    _FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


#: Errors that mean one file can no longer be read, not that the disk as a whole has failed.
BAD_FILE_ERRNOS = frozenset(
    {errno.EIO, errno.EBADMSG, errno.EISDIR, errno.ELOOP, getattr(errno, "EUCLEAN", errno.EIO)}
)


class Place(NamedTuple):
    """Where a directory is: a key for this machine, the file system's type, and the directory's inode.

    None or "" where it is unknown. ``inode`` is None on file systems that do not keep it. A file system gives
    the number of a deleted directory to the next one, so a restored directory often has the same inode;
    ``inode_generation`` differs then.
    """

    host: str | None
    file_system: str
    inode: int | None
    inode_generation: int | None = None


#: Syncs at a time, if several are needed.
_SYNCS = 16
#: Types of file systems that may number a directory anew with each mount.
_WITHOUT_INODES = ("overlay", "fuse", "vfat", "exfat", "msdos")
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")
_ESCAPED = re.compile(r"\\([0-7]{3})")
#: FS_IOC_GETVERSION of <linux/fs.h>, an ioctl that reads a long.
_GET_GENERATION = 0x80007601 | struct.calcsize("l") << 16


class Lock(Protocol):
    """A lock that is released when its process ends."""

    def release(self) -> None: ...


class Disk(Protocol):
    """What the outbox and the row ledger need from a file system."""

    def read(self, path: str) -> bytes: ...

    def read_from(self, path: str, offset: int) -> bytes: ...

    def create(self, path: str, data: bytes, *, sync: bool = False) -> None: ...

    def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None: ...

    def append(self, path: str, data: bytes, *, sync: bool = False) -> None: ...

    def sync(self, path: str) -> None: ...

    def sync_dir(self, path: str) -> None: ...

    def sync_all(self, files: Sequence[str], directories: Sequence[str] = ()) -> None: ...

    def make_dir(self, path: str) -> None: ...

    def rename(self, old: str, new: str) -> None: ...

    def remove(self, path: str) -> None: ...

    def remove_tree(self, path: str) -> None: ...

    def names(self, path: str) -> list[str]: ...

    def names_by_age(self, path: str) -> list[str]: ...

    def exists(self, path: str) -> bool: ...

    def size(self, path: str) -> int: ...

    def free_bytes(self, path: str) -> int: ...

    def try_lock(self, path: str, *, shared: bool = False) -> Lock | None: ...

    def place(self, path: str) -> Place: ...


class PosixDisk:
    """Linux and macOS."""

    def read(self, path: str) -> bytes:
        with open(path, "rb", buffering=0) as file:
            return file.read()

    def read_from(self, path: str, offset: int) -> bytes:
        """The file from ``offset`` to its end."""
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            return file.read()

    def create(self, path: str, data: bytes, *, sync: bool = False) -> None:
        """Create a file with ``data``. Raises FileExistsError."""
        self._write(path, os.O_CREAT | os.O_EXCL, data, 0, sync=sync)

    def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None:
        """Overwrite part of a file, which must exist, or extend it."""
        self._write(path, 0, data, offset, sync=sync)

    def append(self, path: str, data: bytes, *, sync: bool = False) -> None:
        """Append to a file, which is created if it does not exist."""
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
        """Wait until the file's data is on the medium."""
        self._fsync(path, os.O_RDWR)

    def sync_dir(self, path: str) -> None:
        """Wait until the names in the directory are on the medium."""
        self._fsync(path, os.O_RDONLY | os.O_DIRECTORY)

    def sync_all(self, files: Sequence[str], directories: Sequence[str] = ()) -> None:
        """``sync`` these files and ``sync_dir`` these directories, in any order.

        From several threads, because a file system writes its journal once for all that wait for it.
        """
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most commands sync nothing

        with ThreadPoolExecutor(_SYNCS) as pool:
            begun = [pool.submit(self.sync, path) for path in files]
            begun += [pool.submit(self.sync_dir, path) for path in directories]
        for one in begun:
            one.result()

    def _fsync(self, path: str, flags: int) -> None:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        try:
            _flush(descriptor)
        finally:
            os.close(descriptor)

    def make_dir(self, path: str) -> None:
        """Create a directory. Raises FileExistsError."""
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def remove_tree(self, path: str) -> None:
        """Remove a file, or a directory with its contents. It need not exist."""
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        except FileNotFoundError:
            return

    def names(self, path: str) -> list[str]:
        """The sorted names in a directory; empty if it does not exist or is not a directory."""
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def names_by_age(self, path: str) -> list[str]:
        """The names in a directory, those first whose data or entries were changed first.

        Reads no file, so 20,000 names take a tenth of a second. What is removed meanwhile comes first.
        """
        ages = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    try:
                        ages.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
                    except FileNotFoundError:
                        ages.append((0, entry.name))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for _, name in sorted(ages)]

    def exists(self, path: str) -> bool:
        return os.access(path, os.F_OK)  # for a missing name, half the time of lstat and its exception

    def size(self, path: str) -> int:
        return os.stat(path).st_size

    def free_bytes(self, path: str) -> int:
        """Bytes that this user may still write to the file system of ``path``."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def try_lock(self, path: str, *, shared: bool = False) -> Lock | None:
        """The lock on ``path``, or None if it is held, by another process or by this one.

        Any number of holders may have it ``shared``, and then nobody has it alone. The file of a lock is
        never removed: removing it while it is held would let a second holder in.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _unmask(descriptor)
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return None
            raise
        return _Held(descriptor)

    def place(self, path: str) -> Place:
        """Where the directory ``path`` is."""
        return place(path)


class FleetingDisk(PosixDisk):
    """A disk that its host may lose at any moment, so that nobody waits for the medium.

    What was written survives the process, as with any disk.
    """

    def _write(self, path: str, flags: int, data: bytes, offset: int, *, sync: bool) -> None:
        super()._write(path, flags, data, offset, sync=False)

    def sync_all(self, files: Sequence[str], directories: Sequence[str] = ()) -> None:
        for path in files:
            self.sync(path)
        for path in directories:
            self.sync_dir(path)

    def _fsync(self, path: str, flags: int) -> None:
        os.close(os.open(path, flags | os.O_CLOEXEC))  # a path that is missing is an error all the same


def _unmask(descriptor: int) -> None:
    """Ensure mode 0600 under any umask. Setting it only if it differs saves a write."""
    if os.fstat(descriptor).st_mode & 0o777 != 0o600:
        os.fchmod(descriptor, 0o600)


def _put(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of ``data`` at ``offset``; a single write may accept less."""
    if offset:
        os.lseek(descriptor, offset, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _flush(descriptor: int) -> None:
    """fsync; on macOS F_FULLFSYNC, because fsync leaves data in the drive's cache there (fsync(2)).

    The macOS branch follows Apple's manual and was NEVER RUN.
    """
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(descriptor, _FULL_SYNC)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.ENOTTY, errno.EINVAL):
                raise
        else:
            return
    os.fsync(descriptor)  # also on a macOS file system without F_FULLFSYNC


class _Held:
    """An open descriptor with a kernel lock."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class WindowsDisk(PosixDisk):
    """Windows. Run in tests/fakes/windows only, which says what that cannot show; never on Windows itself.

    Windows cannot flush a directory, so a name is only as durable as NTFS's journal makes it. Permissions are
    left to the directory's access control list. A file that somebody has open can be neither renamed nor
    deleted there, and virus scanners open new files: both are tried for a while.
    """

    def _write(self, path: str, flags: int, data: bytes, offset: int, *, sync: bool) -> None:
        descriptor = os.open(path, os.O_WRONLY | _BINARY | flags, 0o600)
        try:
            _put(descriptor, data, offset)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _fsync(self, path: str, flags: int) -> None:
        descriptor = os.open(path, os.O_RDWR | _BINARY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_dir(self, path: str) -> None:
        return

    def make_dir(self, path: str) -> None:
        os.mkdir(path)

    def rename(self, old: str, new: str) -> None:
        _when_closed(lambda: os.replace(old, new))  # os.rename does not replace a file there

    def remove(self, path: str) -> None:
        _when_closed(lambda: os.unlink(path))

    def remove_tree(self, path: str) -> None:
        _when_closed(lambda: super(WindowsDisk, self).remove_tree(path))

    def free_bytes(self, path: str) -> int:
        return shutil.disk_usage(path).free

    def try_lock(self, path: str, *, shared: bool = False) -> Lock | None:
        """As above. Windows locks bytes: one holder alone locks all of them, each of several locks one."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o600)
        try:
            for start in range(_LOCK_BYTES if shared else 1):
                if _lock_bytes(descriptor, start, 1 if shared else _LOCK_BYTES):
                    return _Held(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def place(self, path: str) -> Place:
        return Place(None, "", None)


_BINARY = getattr(os, "O_BINARY", 0)
#: How many processes may share a lock on Windows.
_LOCK_BYTES = 16


def _lock_bytes(descriptor: int, start: int, length: int) -> bool:
    """Lock bytes of a file, which need not exist; False if another descriptor has one of them."""
    import msvcrt  # noqa: PLC0415 - only on Windows

    os.lseek(descriptor, start, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, length)  # type: ignore[attr-defined,unused-ignore]
    except PermissionError:  # EACCES, as Microsoft documents for _locking
        return False
    return True


def _when_closed(change: Callable[[], None]) -> None:
    """Do ``change`` once nobody has the file open any more. Raises PermissionError after two seconds."""
    for pause in (0.01, 0.05, 0.2, 0.7, 1.0):
        try:
            return change()
        except PermissionError:
            time.sleep(pause)
    return change()


def place(path: str, root: str = "/") -> Place:
    """The place of the directory ``path``. ``root`` has ``proc/`` and ``etc/``, which exist on Linux only.

    The host is a hash of /etc/machine-id, as machine-id(5) asks, and None in a container, whose ID may change
    with each start or be that of its image.
    """
    machine = _text(f"{root}/etc/machine-id").strip()
    mounts = _text(f"{root}/proc/self/mountinfo")
    container = any(os.path.exists(f"{root}/{name}") for name in (".dockerenv", "run/.containerenv"))
    host = None
    # Kubernetes leaves no such file, but the root of most containers is an overlay.
    if _MACHINE_ID.fullmatch(machine) and not container and file_system("/", mounts) != "overlay":
        host = hashlib.sha256(b"irmexport " + machine.encode()).hexdigest()[:32]
    kind = file_system(os.path.realpath(path), mounts)
    if kind.startswith(_WITHOUT_INODES):
        return Place(host, kind, None)
    return Place(host, kind, os.stat(path).st_ino, _inode_generation(path))


def _inode_generation(path: str) -> int | None:
    """How often the inode of the directory ``path`` was given away, or None if that is unknown.

    ext4, XFS and Btrfs keep a random number or a count for it, on disk.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = fcntl.ioctl(descriptor, _GET_GENERATION, bytes(struct.calcsize("l")))
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return int.from_bytes(found[:4], sys.byteorder)  # the kernel writes an int


def file_system(path: str, mounts: str) -> str:
    """The type of the file system that has ``path``, or "". ``mounts`` is as proc(5) describes mountinfo."""
    found, longest = "", -1
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[4]).rstrip("/")
        inside = path == point or path.startswith(f"{point}/")
        if inside and len(point) >= longest:  # of mounts on one point the last one is visible
            found, longest = right.split(" ", 1)[0], len(point)
    return found


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def make_dirs(disk: Disk, path: str) -> None:
    """Create a directory and its missing parents, durably. Raises OSError."""
    if disk.exists(path):
        return
    parent = os.path.dirname(path)
    make_dirs(disk, parent)
    try:
        disk.make_dir(path)
    except FileExistsError:
        return  # another process created it, and syncs it
    disk.sync_dir(parent)


def replace_file(disk: Disk, path: str, data: bytes) -> None:
    """Replace a file that only this user can read, atomically and durably. Raises OSError.

    Also if another process does so at the same time; of the two, one may fail.
    """
    unfinished = f"{path}.irmexport-new"  # a name of ours: the directory may be the user's
    disk.remove_tree(unfinished)  # of a process that was killed
    try:
        disk.create(unfinished, data, sync=True)
        disk.rename(unfinished, path)
    except OSError:
        disk.remove_tree(unfinished)  # it may hold a secret
        raise
    disk.sync_dir(os.path.dirname(path) or ".")


def system_disk() -> Disk:
    """The disk of this operating system."""
    return WindowsDisk() if sys.platform == "win32" else PosixDisk()
