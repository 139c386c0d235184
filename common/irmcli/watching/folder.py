"""The watched directory: its files, whether they are complete, and where they move.

DIR/x.csv ─▶ DIR/.irmexport/work/x.csv ─▶ DIR/archive/x.csv | DIR/errors/x.csv (and x.csv.error.txt)
                                          DIR/rejects/x.csv (rows that were refused)
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from irmcore.clock import Clock
from irmcore.disk import Disk, Lock, make_dirs, system_disk
from irmcore.errors import ConfigurationError, OutboxBusy

SUBFOLDERS = ("archive", "rejects", "errors")
_HIDDEN = ".irmexport"
#: Suffixes of files that copy tools, browsers, editors and Office have not finished.
_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".lock", "~")
#: Factor on the settle time of an empty file: writers often create a file long before they fill it.
_EMPTY_FACTOR = 10

#: Identifies a version of a file: device, inode, size, modification time in ns.
Version = tuple[int, int, int, int]


@dataclass(frozen=True)
class Found:
    """A file to process. ``name`` is its path in the directory, ``path`` its current path."""

    name: str
    path: Path
    version: Version


class Folder:
    """One directory, watched by one process. Raises ConfigurationError if it is not a directory."""

    def __init__(self, root: Path, clock: Clock, *, settle: float) -> None:
        self.root = root
        self._clock = clock
        self._settle = settle
        self._since: dict[Path, tuple[Version, float]] = {}
        self._disk: Disk = system_disk()
        self._work = root / _HIDDEN / "work"
        if not root.is_dir():
            raise ConfigurationError(
                "there is no such directory", where=str(root), next_step="Create it, or give another path."
            )

    def hold(self) -> Lock:
        """Lock the directory against other watchers and create its subdirectories.

        Raises ConfigurationError, OutboxBusy, OSError.
        """
        for name in (*SUBFOLDERS, f"{_HIDDEN}/work"):
            path = self.root / name
            if path.exists() and not path.is_dir():
                raise ConfigurationError(
                    "a file has the name of a directory that `watch` needs",
                    where=str(path),
                    next_step="Move or rename the file.",
                )
            make_dirs(self._disk, str(path.absolute()))
        lock = self._disk.try_lock(str(self.root / _HIDDEN / "watch.lock"))
        if lock is None:
            raise OutboxBusy(
                "another `irmexport watch` uses this directory",
                where=str(self.root),
                next_step="Stop that one first.",
            )
        return lock

    def files(self) -> list[Found]:
        """The files, by name; first those that were being processed when the process was interrupted."""
        started = list(_files(self._work, self._work))
        new = [found for found in _files(self.root, self.root) if not _in_subfolder(found.name)]
        self._since = {
            found.path: self._since[found.path] for found in (*started, *new) if found.path in self._since
        }
        return [*started, *new]

    def complete(self, found: Found) -> bool:
        """Whether the file was unchanged for the settle time and is not open for writing."""
        now = self._clock.monotonic()
        known, since = self._since.setdefault(found.path, (found.version, now))
        if known != found.version:
            self._since[found.path] = (found.version, now)
            return False
        settle = self._settle * (_EMPTY_FACTOR if found.version[2] == 0 else 1)
        return now - since >= settle and not being_written(found.path)

    def take(self, found: Found) -> Found | None:
        """Move the file to the work directory, out of its writer's reach; None if it is not complete."""
        if found.path.is_relative_to(self._work):
            return found
        target = self._work / found.name
        if target.exists():
            return None  # a file of that name is being processed; this one is next
        make_dirs(self._disk, str(target.parent.absolute()))
        try:
            found.path.rename(target)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EBUSY, errno.ETXTBSY):
                return None  # gone, or locked by its writer (Windows, network shares)
            raise
        moved = Found(found.name, target, found.version)
        self._since[target] = (found.version, self._since[found.path][1])
        return moved if not self.changed(moved) and not being_written(target) else None

    def changed(self, found: Found) -> bool:
        """Whether the file changed since it was found."""
        return _version(found.path) != found.version

    def free(self, name: str, subfolder: str, content: str) -> Path:
        """A path in ``subfolder`` for this name and content digest, at which there is no other content."""
        target = self.root / subfolder / name
        make_dirs(self._disk, str(target.parent.absolute()))
        if not target.exists() or (target.is_file() and digest(target) == content):
            return target
        return target.with_name(f"{target.stem}.{content[:12]}{target.suffix}")

    def put(self, found: Found, target: Path) -> None:
        """Move a processed file to ``target``, durably."""
        found.path.replace(target)
        self._disk.sync_dir(str(target.parent))

    def write(self, target: Path, data: bytes) -> None:
        """Write ``data`` to ``target`` with mode 0600, durably, replacing an existing file."""
        temporary = target.with_name(f".{target.name}.new")
        temporary.unlink(missing_ok=True)
        self._disk.create(str(temporary), data, sync=True)
        temporary.replace(target)
        self._disk.sync_dir(str(target.parent))


def _in_subfolder(name: str) -> bool:
    return PurePosixPath(name).parts[0] in SUBFOLDERS


def _files(root: Path, base: Path) -> Iterator[Found]:
    for directory, directories, names in os.walk(root):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            path = Path(directory) / name
            if name.startswith((".", "~")) or name.lower().endswith(_UNFINISHED):
                continue
            version = _version(path)
            if version is not None:
                yield Found(path.relative_to(base).as_posix(), path, version)


def _version(path: Path) -> Version | None:
    """The current version of a file; None if it is gone or not a regular file (a link may point anywhere)."""
    try:
        found = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def being_written(path: Path) -> bool:
    """Whether a process has the file open for writing, as far as the kernel can tell.

    On Linux a read lease is refused while there is a writer (fcntl(2), F_SETLEASE). Leases need a local disk
    and are granted to the file's owner and root. Elsewhere the answer is False.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False  # reading it reports the error
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False


def digest(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
