"""The watched folder: which files are there, which are whole, and where they go afterwards.

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

OWN = ("archive", "rejects", "errors")
_HIDDEN = ".irmexport"
#: How writers name what is not finished: copy tools, browsers, editors, Office.
_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".lock", "~")
#: An empty file is often the first thing a writer makes: it has longer to grow.
_EMPTY_PATIENCE = 10

#: What a file is at a moment: device, inode, size, time of its last change in ns.
Print = tuple[int, int, int, int]


@dataclass(frozen=True)
class Found:
    """A file that waits: ``name`` is its path in the folder, ``path`` where it lies now."""

    name: str
    path: Path
    seen: Print


class Folder:
    """One folder, held by one process. Raises ConfigurationError if it is no folder."""

    def __init__(self, root: Path, clock: Clock, *, settle: float) -> None:
        self.root = root
        self._clock = clock
        self._settle = settle
        self._since: dict[Path, tuple[Print, float]] = {}
        self._disk: Disk = system_disk()
        self._work = root / _HIDDEN / "work"
        if not root.is_dir():
            raise ConfigurationError(
                "this is no folder", where=str(root), next_step="Make it, or name the right one."
            )

    def hold(self) -> Lock:
        """Keep other watchers out, and make the folder's own places.

        Raises ConfigurationError, OutboxBusy, OSError.
        """
        for name in (*OWN, f"{_HIDDEN}/work"):
            place = self.root / name
            if place.exists() and not place.is_dir():
                raise ConfigurationError(
                    "there is a file where `watch` has a folder of its own",
                    where=str(place),
                    next_step="Move the file away, or rename it.",
                )
            make_dirs(self._disk, str(place.absolute()))
        lock = self._disk.try_lock(str(self.root / _HIDDEN / "watch.lock"))
        if lock is None:
            raise OutboxBusy(
                "another `irmexport watch` has this folder",
                where=str(self.root),
                next_step="End that one first.",
            )
        return lock

    def waiting(self) -> list[Found]:
        """The files that are there, those begun before a crash first, then by name."""
        begun = list(_files(self._work, self._work))
        new = [found for found in _files(self.root, self.root) if not _own(found.name)]
        self._since = {
            found.path: self._since[found.path] for found in (*begun, *new) if found.path in self._since
        }
        return [*begun, *new]

    def whole(self, found: Found) -> bool:
        """Whether nothing has changed the file for the settle time, and nobody has it open for writing."""
        now = self._clock.monotonic()
        known, since = self._since.setdefault(found.path, (found.seen, now))
        if known != found.seen:
            self._since[found.path] = (found.seen, now)
            return False
        patience = self._settle * (_EMPTY_PATIENCE if found.seen[2] == 0 else 1)
        return now - since >= patience and not being_written(found.path)

    def take(self, found: Found) -> Found | None:
        """The file in the folder of work, out of its writer's way; None if it is not whole after all."""
        if found.path.is_relative_to(self._work):
            return found
        target = self._work / found.name
        if target.exists():
            return None  # one of that name is being worked on: this one's turn comes
        make_dirs(self._disk, str(target.parent.absolute()))
        try:
            found.path.rename(target)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EBUSY, errno.ETXTBSY):
                return None  # gone, or held by its writer (Windows, network shares)
            raise
        moved = Found(found.name, target, found.seen)
        self._since[target] = (found.seen, self._since[found.path][1])
        return moved if not self.changed(moved) and not being_written(target) else None

    def changed(self, found: Found) -> bool:
        """Whether the file is another than it was when it was found whole."""
        return _print(found.path) != found.seen

    def free(self, name: str, place: str, content: str) -> Path:
        """Where a file of this name and content (its digest) goes: another one of that name there stays."""
        target = self.root / place / name
        make_dirs(self._disk, str(target.parent.absolute()))
        if not target.exists() or (target.is_file() and digest(target) == content):
            return target
        return target.with_name(f"{target.stem}.{content[:12]}{target.suffix}")

    def put(self, found: Found, target: Path) -> None:
        """Move a file that was dealt with to ``target``."""
        found.path.replace(target)
        self._disk.sync_dir(str(target.parent))

    def write(self, target: Path, data: bytes) -> None:
        """Put ``data`` there, with mode 0600, in place of what was."""
        temporary = target.with_name(f".{target.name}.new")
        temporary.unlink(missing_ok=True)
        self._disk.create(str(temporary), data, sync=True)
        temporary.replace(target)
        self._disk.sync_dir(str(target.parent))


def _own(name: str) -> bool:
    return PurePosixPath(name).parts[0] in OWN


def _files(root: Path, base: Path) -> Iterator[Found]:
    for directory, directories, names in os.walk(root):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            path = Path(directory) / name
            if name.startswith((".", "~")) or name.lower().endswith(_UNFINISHED):
                continue
            seen = _print(path)
            if seen is not None:
                yield Found(path.relative_to(base).as_posix(), path, seen)


def _print(path: Path) -> Print | None:
    """What the file is now; None if it is gone or no plain file (a link may lead anywhere)."""
    try:
        found = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def being_written(path: Path) -> bool:
    """Whether a process has the file open for writing, as far as the kernel tells.

    It does on Linux, of local disks, to a file's owner and to root: a read lease is refused while there is
    a writer (fcntl(2), F_SETLEASE). Where there are no leases: no.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False  # what reads it will say why it cannot be read
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
