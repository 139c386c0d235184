"""A watched directory of this machine.

Nothing of ours is kept in it, no link in it is followed, and a file moves only if it is still the one that
was read.
"""

import errno
import hashlib
import os
import secrets
import shlex
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from irmcore.clock import Clock
from irmcore.errors import ConfigurationError

from irmcli.watching.copies import SUBFOLDERS
from irmcli.watching.folder import (
    MAX_DEPTH,
    Folder,
    Found,
    is_unfinished,
    state_of,
    with_mark,
)
from irmcli.watching.notifications import notifications
from irmcli.watching.own_directory import directory, without_links

#: Where earlier versions kept the file that they were processing.
_FORMER_WORK = ".irmexport/work"

#: Device, inode, size, modification time in ns.
_Stamp = tuple[int, int, int, int]


class LocalFolder(Folder):
    """One directory. Raises ConfigurationError if it is not a directory.

    ``state`` is a directory in the outbox directory, which no other user can reach.
    """

    def __init__(self, root: Path, state: Path, clock: Clock, *, settle: float) -> None:
        self.root = root
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
        super().__init__(str(root), state_of(state, str(self._real)), clock, settle=settle)

    def notifications(
        self, changed: Callable[[], None], unavailable: Callable[[OSError], None]
    ) -> AbstractContextManager[bool]:
        return notifications(self.root, changed, unavailable)

    def _check(self) -> None:
        for name in SUBFOLDERS:
            with directory(self._real, [name], ours=True):
                pass
        self._refuse_former_work()

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

    def _list(self) -> Iterator[Found]:
        return _files(self.root)

    def _being_written(self, found: Found) -> bool:
        return being_written(self.root / found.name)

    def take(self, found: Found) -> str | None:
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
            content = self._save(found, source.read)
            unchanged = _version(os.fstat(descriptor)) == found.version
        return content if unchanged and not self._being_written(found) else None

    def changed(self, found: Found) -> bool:
        return _version_at(self.root / found.name) != found.version

    def _digest(self, found: Found, subfolder: str, size: int) -> str | None:
        with directory(self._real, [subfolder, *found.folders], ours=True) as folder:
            try:
                there = os.stat(found.base, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return None
            if not stat.S_ISREG(there.st_mode) or there.st_size != size:
                return ""
            opened = os.open(found.base, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(opened, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

    def put(self, found: Found, subfolder: str, name: str) -> bool:
        with (
            directory(self._real, found.folders, ours=False) as source,
            directory(self._real, [subfolder, *found.folders], ours=True) as target,
        ):
            os.rename(found.base, name, src_dir_fd=source, dst_dir_fd=target)
            moved = _version(os.stat(name, dir_fd=target, follow_symlinks=False))
            if moved != found.version:
                # Not over a file that has come meanwhile.
                back = with_mark(found.base, secrets.token_hex(6))
                os.rename(name, back, src_dir_fd=target, dst_dir_fd=source)
            os.fsync(target)
            os.fsync(source)
        self.copy.unlink(missing_ok=True)
        return moved == found.version

    def write(self, found: Found, subfolder: str, name: str, data: bytes) -> None:
        """With mode 0600."""
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


def _files(root: Path) -> Iterator[Found]:
    for folder, folders, names in os.walk(root):
        skipped = SUBFOLDERS if Path(folder) == root else ()
        if len(Path(folder).relative_to(root).parts) >= MAX_DEPTH:
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in skipped)
        for name in sorted(names):
            path = Path(folder) / name
            if is_unfinished(name):
                continue
            version = _version_at(path)
            if version is not None:
                yield Found(path.relative_to(root).as_posix(), version, version[2])


def _version_at(path: Path) -> _Stamp | None:
    try:
        return _version(path.lstat())
    except OSError:
        return None


def _version(found: os.stat_result) -> _Stamp | None:
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
