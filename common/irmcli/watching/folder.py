"""The watched directory: its files, whether they are complete, and where they move.

DIR/x.csv ─▶ a copy that only this user can reach, which is read
          ─▶ DIR/archive/x.csv | DIR/errors/x.csv (and x.csv.error.txt); DIR/rejects/x.csv (refused rows)

Others may write to DIR. So nothing of ours is kept in it, no link in it is followed, and a file moves only if
it is still the one that was read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from irmcore.clock import Clock
from irmcore.disk import Lock, make_dirs, system_disk
from irmcore.errors import ConfigurationError, InputError, OutboxBusy, OutboxFull
from irmcore.outbox.staging import MIN_FREE_BYTES

from irmcli.watching import copies
from irmcli.watching.copies import SUBFOLDERS
from irmcli.watching.own_directory import directory, without_links

#: Where earlier versions kept the file that they were processing.
_FORMER_WORK = ".irmexport/work"
#: Suffixes of files that copy tools, browsers, editors and Office have not finished.
_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".lock", "~")
#: Factor on the settle time of an empty file: writers often create a file long before they fill it.
_EMPTY_FACTOR = 10
#: The largest file that is read. A sparse file of any size costs its writer nothing.
MAX_BYTES = 16 * 1024**3
#: How deep directories are read: whoever writes to DIR may nest them without end.
_MAX_DEPTH = 32
#: Bytes of a name that leave room for what is added to it; file systems allow 255.
_MAX_NAME, _MAX_SUFFIX = 200, 20

#: Identifies a version of a file: device, inode, size, modification time in ns.
Version = tuple[int, int, int, int]


@dataclass(frozen=True)
class Found:
    """A file to process. ``name`` is its path in the directory; names in it are separated by slashes."""

    name: str
    version: Version

    @property
    def folders(self) -> tuple[str, ...]:
        return PurePosixPath(self.name).parts[:-1]

    @property
    def base(self) -> str:
        return PurePosixPath(self.name).name


class Folder:
    """One directory, watched by one process. Raises ConfigurationError if it is not a directory.

    ``state`` is a directory in the outbox directory, which no other user can reach.
    """

    def __init__(
        self, root: Path, state: Path, clock: Clock, *, settle: float, max_bytes: int = MAX_BYTES
    ) -> None:
        self.root = root
        self._max_bytes = max_bytes
        self._clock = clock
        self._settle = settle
        self._since: dict[str, tuple[Version, float]] = {}
        if not root.is_dir():
            raise ConfigurationError(
                "there is no such directory", where=str(root), next_step="Create it, or give another path."
            )
        self._real = without_links(root)
        if state.resolve().is_relative_to(self._real):
            raise ConfigurationError(
                "the outbox is in the directory to watch, whose writers could reach it",
                where=str(state),
                next_step="Move the outbox elsewhere, and name its new place with --outbox.",
            )
        self._state = state / hashlib.sha256(str(self._real).encode()).hexdigest()[:16]
        #: The copy of the file that is being processed.
        self.copy = self._state / "input"

    def hold(self) -> Lock:
        """Lock the directory against other watchers and create its subdirectories.

        Raises ConfigurationError, OutboxBusy, OSError.
        """
        for name in SUBFOLDERS:
            with directory(self._real, [name], ours=True):
                pass
        self._refuse_former_work()
        make_dirs(system_disk(), str(self._state))
        lock = system_disk().try_lock(f"{self._state}/lock")
        if lock is None:
            raise OutboxBusy(
                "another `irmexport watch` uses this directory",
                where=str(self.root),
                next_step="Stop that one first.",
            )
        self.copy.unlink(missing_ok=True)
        (self._state / copies.NAME).write_text(str(self.root), encoding="utf-8")
        return lock

    def _refuse_former_work(self) -> None:
        former = self.root / _FORMER_WORK
        others = former.parent.exists() and former.parent.stat().st_uid != os.geteuid()
        if others or former.is_symlink() or next(_files(former), None) is None:
            return
        source, target = shlex.quote(str(former)), shlex.quote(str(self.root))
        raise ConfigurationError(
            "an earlier version was interrupted and left files here, which this version keeps elsewhere",
            where=str(former),
            next_step=f"To have them processed, run: cp -R -P {source}/. {target}/ && rm -r {source}",
        )

    def files(self) -> list[Found]:
        """The files, by name."""
        found = list(_files(self.root))
        self._since = {one.name: self._since[one.name] for one in found if one.name in self._since}
        return found

    def complete(self, found: Found) -> bool:
        """Whether the file was unchanged for the settle time and is not open for writing."""
        now = self._clock.monotonic()
        known, since = self._since.setdefault(found.name, (found.version, now))
        if known != found.version:
            self._since[found.name] = (found.version, now)
            return False
        settle = self._settle * (_EMPTY_FACTOR if found.version[2] == 0 else 1)
        return now - since >= settle and not being_written(self.root / found.name)

    def take(self, found: Found) -> str | None:
        """Copy the file to ``copy``, out of its writer's reach. The SHA-256; None if it is not complete.

        Raises InputError if it is too large, OutboxFull if there is no room for it, OSError.
        """
        try:
            with directory(self._real, found.folders, ours=False) as folder:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(found.base, flags, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EBUSY):
                return None  # gone, or a link now
            raise
        with os.fdopen(descriptor, "rb") as source:
            if _version(os.fstat(descriptor)) != found.version:
                return None
            content = self._copy_of(source, found)
            unchanged = _version(os.fstat(descriptor)) == found.version
        return content if unchanged and not being_written(self.root / found.name) else None

    def _copy_of(self, source: BinaryIO, found: Found) -> str:
        self.copy.unlink(missing_ok=True)
        left = found.version[2]
        if left > self._max_bytes:
            raise InputError(
                f"the file has more than {self._max_bytes:,} bytes",
                where=found.name,
                next_step="Check its origin. If it is right, split it, or send it with `irmexport send`.",
            )
        if left + MIN_FREE_BYTES > system_disk().free_bytes(str(self._state)):
            raise OutboxFull(
                f"the outbox's disk has no room for a copy of this file ({left:,} bytes)",
                where=found.name,
                next_step="Free some space there, or move the file away.",
            )
        digest = hashlib.sha256()
        descriptor = os.open(self.copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            while block := source.read(min(left, 1024 * 1024)):
                digest.update(block)
                target.write(block)
                left -= len(block)  # a file that grows meanwhile would not end
        return digest.hexdigest()

    def changed(self, found: Found) -> bool:
        """Whether the file changed since it was found."""
        return _version_at(self.root / found.name) != found.version

    def free(self, found: Found, subfolder: str, content: str) -> str:
        """A name in ``subfolder`` for this file and content digest, at which there is no other content.

        Without a digest, the name is a new one. A name that is almost too long is shortened.
        """
        mark, same = content[:12] or secrets.token_hex(6), False
        if len(os.fsencode(found.base)) > _MAX_NAME or not content:
            return _with(found.base, mark)
        with directory(self._real, [subfolder, *found.folders], ours=True) as folder:
            try:
                mode = os.stat(found.base, dir_fd=folder, follow_symlinks=False).st_mode
            except FileNotFoundError:
                return found.base
            if stat.S_ISREG(mode):
                there = os.open(found.base, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                with os.fdopen(there, "rb") as file:
                    same = hashlib.file_digest(file, "sha256").hexdigest() == content
        return found.base if same else _with(found.base, mark)

    def put(self, found: Found, subfolder: str, name: str) -> bool:
        """Move a processed file to ``name`` in ``subfolder``, durably.

        False if another file had taken its place: then that one is still in the directory.
        """
        with (
            directory(self._real, found.folders, ours=False) as source,
            directory(self._real, [subfolder, *found.folders], ours=True) as target,
        ):
            os.rename(found.base, name, src_dir_fd=source, dst_dir_fd=target)
            moved = _version(os.stat(name, dir_fd=target, follow_symlinks=False))
            if moved != found.version:
                # Not over a file that has come meanwhile.
                back = _with(found.base, secrets.token_hex(6))
                os.rename(name, back, src_dir_fd=target, dst_dir_fd=source)
            os.fsync(target)
            os.fsync(source)
        self.copy.unlink(missing_ok=True)
        return moved == found.version

    def write(self, found: Found, subfolder: str, name: str, data: bytes) -> None:
        """Write ``name`` in ``subfolder`` with mode 0600, durably, replacing an existing file."""
        with directory(self._real, [subfolder, *found.folders], ours=True) as folder:
            temporary = f".{name}.new"
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)


def _with(name: str, mark: str) -> str:
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    if len(os.fsencode(suffix)) > _MAX_SUFFIX:
        stem, suffix = name, ""
    short = os.fsencode(stem)[: _MAX_NAME - _MAX_SUFFIX].decode(errors="ignore")
    return f"{short}.{mark}{suffix}"


def _files(root: Path) -> Iterator[Found]:
    for folder, folders, names in os.walk(root):
        skipped = SUBFOLDERS if Path(folder) == root else ()
        if len(Path(folder).relative_to(root).parts) >= _MAX_DEPTH:
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in skipped)
        for name in sorted(names):
            path = Path(folder) / name
            if name.startswith((".", "~")) or name.lower().endswith(_UNFINISHED):
                continue
            version = _version_at(path)
            if version is not None:
                yield Found(path.relative_to(root).as_posix(), version)


def _version_at(path: Path) -> Version | None:
    try:
        return _version(path.lstat())
    except OSError:
        return None


def _version(found: os.stat_result) -> Version | None:
    """The version of a file; None if it is not a regular file (a link may point anywhere)."""
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
