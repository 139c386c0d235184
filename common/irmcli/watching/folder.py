"""What `watch` needs of a folder, wherever it is, and what all folders have in common.

FOLDER/x.csv ─▶ a copy that only this user can reach, which is read
             ─▶ FOLDER/archive/x.csv | FOLDER/errors/x.csv (and x.csv.error.txt); FOLDER/rejects/x.csv

Others may write to the folder. So a file moves only if it is still the one that was read.
"""

import hashlib
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from irmcore.clock import Clock
from irmcore.disk import Lock, make_dirs, system_disk
from irmcore.errors import InputError, OutboxBusy, OutboxFull
from irmcore.outbox.staging import MIN_FREE_BYTES

from irmcli.watching import copies

#: Suffixes of files that copy tools, browsers, editors and Office have not finished.
_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".lock", "~")
#: Factor on the settle time of an empty file: writers often create a file long before they fill it.
_EMPTY_FACTOR = 10
#: The largest file that is read. A sparse file of any size costs its writer nothing.
MAX_BYTES = 16 * 1024**3
#: How deep directories are read: whoever writes to the folder may nest them without end.
MAX_DEPTH = 32
#: Bytes of a name that leave room for what is added to it; file systems allow 255.
_MAX_NAME, _MAX_SUFFIX = 200, 20

#: Identifies a version of a file: equal as long as neither the file nor its place has changed.
Version = tuple[str | int, ...]


@dataclass(frozen=True)
class Found:
    """A file to process. ``name`` is its path in the folder; names in it are separated by slashes."""

    name: str
    version: Version
    size: int

    @property
    def folders(self) -> tuple[str, ...]:
        return PurePosixPath(self.name).parts[:-1]

    @property
    def base(self) -> str:
        return PurePosixPath(self.name).name


class Folder(ABC):
    """A folder that one process of this outbox watches.

    Every method but the constructor raises WaitError if the folder is away for now, ConfigurationError if a
    person must change something, and OSError.
    """

    #: Seconds between looks: without notifications, and while a file is incomplete.
    poll, soon = 5.0, 1.0
    #: Bytes that are read at a time, and of the largest file that is read.
    block, max_bytes = 1024 * 1024, MAX_BYTES

    def __init__(self, title: str, state: Path, clock: Clock, *, settle: float) -> None:
        """``title`` names the folder in messages. ``state`` is its directory in the outbox directory, which
        no other user can reach.
        """
        self.title = title
        self._state = state
        self._clock = clock
        self._settle = settle
        self._since: dict[str, tuple[Version, float]] = {}
        #: The copy of the file that is being processed.
        self.copy = state / "input"

    def hold(self) -> Lock:
        """Check the folder and lock it against other watchers with this outbox. Raises OutboxBusy too."""
        self._check()
        make_dirs(system_disk(), str(self._state))
        lock = system_disk().try_lock(f"{self._state}/lock")
        if lock is None:
            raise OutboxBusy(
                "another `irmexport watch` uses this folder",
                where=self.title,
                next_step="Stop that one first.",
            )
        self.copy.unlink(missing_ok=True)
        (self._state / copies.NAME).write_text(self.title, encoding="utf-8")
        return lock

    def files(self) -> list[Found]:
        """The files, by name."""
        found = sorted(self._list(), key=lambda one: PurePosixPath(one.name).parts)
        self._since = {one.name: self._since[one.name] for one in found if one.name in self._since}
        return found

    def complete(self, found: Found) -> bool:
        """Whether the file was unchanged for the settle time and is not being written."""
        now = self._clock.monotonic()
        known, since = self._since.setdefault(found.name, (found.version, now))
        if known != found.version:
            self._since[found.name] = (found.version, now)
            return False
        settle = self._settle * (_EMPTY_FACTOR if found.size == 0 else 1)
        return now - since >= settle and not self._being_written(found)

    @abstractmethod
    def take(self, found: Found) -> str | None:
        """Copy the file to ``copy``, out of its writer's reach. The SHA-256; None if it is not complete.

        Raises InputError if it is too large, OutboxFull if there is no room for it.
        """

    def free(self, found: Found, subfolder: str, content: str, size: int) -> str:
        """A name in ``subfolder`` for this file, at which there is no other content than this (a SHA-256).

        Without a digest, the name is a new one. A name that is almost too long is shortened.
        """
        mark = content[:12] or secrets.token_hex(6)
        if len(os.fsencode(found.base)) > _MAX_NAME or not content:
            return with_mark(found.base, mark)
        there = self._digest(found, subfolder, size)
        return found.base if there in (None, content) else with_mark(found.base, mark)

    @abstractmethod
    def changed(self, found: Found) -> bool:
        """Whether the file changed since it was found."""

    @abstractmethod
    def put(self, found: Found, subfolder: str, name: str) -> bool:
        """Move a processed file to ``name`` in ``subfolder``, durably.

        False if another file had taken its place: then that one is still in the folder.
        """

    @abstractmethod
    def write(self, found: Found, subfolder: str, name: str, data: bytes) -> None:
        """Write ``name`` in ``subfolder``, durably, replacing an existing file."""

    def notifications(
        self, changed: Callable[[], None], unavailable: Callable[[OSError], None]
    ) -> AbstractContextManager[bool]:
        """Call ``changed`` on changes inside the block. Yields whether the system sends notifications."""
        return nullcontext(enter_result=False)

    @abstractmethod
    def _check(self) -> None:
        """Raise what is wrong with the folder; create what `watch` needs in it."""

    @abstractmethod
    def _list(self) -> Iterator[Found]:
        """The files, in any order."""

    @abstractmethod
    def _digest(self, found: Found, subfolder: str, size: int) -> str | None:
        """The SHA-256 of the file in ``subfolder`` that has this one's name: None if there is none, and "" if
        it is no file of ``size`` bytes.
        """

    def _being_written(self, found: Found) -> bool:
        """Whether a writer has the file open, as far as that can be told."""
        return False

    def _save(self, found: Found, read: Callable[[int], bytes]) -> str:
        """Write what ``read`` returns, given a number of bytes, to ``copy``. Returns the SHA-256."""
        self.copy.unlink(missing_ok=True)
        left = found.size
        if left > self.max_bytes:
            raise InputError(
                f"the file has more than {self.max_bytes:,} bytes",
                where=found.name,
                next_step="Check its origin. If it is right, split it, or send it with `irmexport "
                "send FILE --profile PROFILE`.",
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
            while left and (block := read(min(left, self.block))):
                digest.update(block)
                target.write(block)
                left -= len(block)  # a file that grows meanwhile would not end
        return digest.hexdigest()


def state_of(parent: Path, identity: str) -> Path:
    """The directory below ``parent`` for the folder that ``identity`` names."""
    return parent / hashlib.sha256(identity.encode()).hexdigest()[:16]


def is_unfinished(name: str) -> bool:
    """Whether a file's name says that it is hidden or not finished."""
    return name.startswith((".", "~")) or name.lower().endswith(_UNFINISHED)


def with_mark(name: str, mark: str) -> str:
    """``name`` with a mark before its suffix, shortened if it is almost too long."""
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    if len(os.fsencode(suffix)) > _MAX_SUFFIX:
        stem, suffix = name, ""
    short = os.fsencode(stem)[: _MAX_NAME - _MAX_SUFFIX].decode(errors="ignore")
    return f"{short}.{mark}{suffix}"
