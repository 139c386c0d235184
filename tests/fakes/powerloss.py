"""A file system in memory that knows what would survive a power loss. It can fill up, fail and be killed.

Data is pending until ``sync`` of its file, a name until ``sync_dir`` of its directory (for a rename:
of the target's). A sync that fails makes nothing durable, nor does a later one (as on Linux, which
marks the pages clean). Each system call of PosixDisk is one operation here.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Callable

from irmcore.disk import Place

from tests.fakes import medium as media
from tests.fakes.medium import Link, Medium, Move, Operation, Unlink, Write

GROWING = ("create", "mkdir", "rename")
READING = ("sync", "sync_dir")


class Killed(BaseException):
    """The process has ended: nothing catches this, and nothing works afterwards."""


class _Lock:
    def __init__(self, held: list[_Lock], node: int, *, shared: bool) -> None:
        self._held = held
        self.node = node
        self.shared = shared

    def release(self) -> None:
        if self in self._held:
            self._held.remove(self)


def _replaces(new: Operation, old: Operation) -> bool:
    """Whether a durable write replaces all of a stuck one, which then cannot come back."""
    if not isinstance(new, Write) or not isinstance(old, Write) or new.file != old.file:
        return False
    return new.offset <= old.offset and old.offset + len(old.data) <= new.offset + len(new.data)


class PowerLossDisk:
    """An irmcore.disk.Disk. ``operations`` counts those that change or sync something, from 1.

    ``watch`` is called before each operation with its kind and path.
    """

    def __init__(self, medium: Medium = media.EMPTY) -> None:
        self.medium = medium
        self.pending: list[Operation] = []
        self.stuck: list[Operation] = []
        self._take(medium.files, medium.directories, 1 + max([*medium.files, *medium.directories]))
        self._held: list[_Lock] = []
        self.operations = 0
        self.watch: Callable[[str, str], None] | None = None
        self.kill_at = 0
        self.fail_at: dict[int, int] = {}
        self.dead = False
        self.full = False
        self.read_only = False

    # -- what a test does with it -----------------------------------------------------------

    def fork(self) -> PowerLossDisk:
        """The same disk as the next process finds it: only locks and faults are gone."""
        copy = self._new(self.medium)
        copy.pending, copy.stuck = list(self.pending), list(self.stuck)
        copy._take(self._files, self._directories, self._next)  # noqa: SLF001 - of its own class
        return copy

    def _take(
        self, files: Mapping[int, bytes], directories: Mapping[int, Mapping[str, int]], after: int
    ) -> None:
        self._files = dict(files)
        self._directories = {node: dict(names) for node, names in directories.items()}
        self._next = after

    def synced(self) -> PowerLossDisk:
        """The same disk after everything has become durable."""
        loose = [(operation, media.WHOLE) for operation in self.pending]
        return self._new(media.applied(self.medium, loose))

    def _new(self, medium: Medium) -> PowerLossDisk:
        return PowerLossDisk(medium)

    def after_power_loss(self, limit: int = 64, seed: int = 1) -> Iterator[PowerLossDisk]:
        """At most ``limit`` different disks that the next start may find."""
        loose = self.pending
        seen = set()
        for combination in media.survivals(loose, limit, seed):
            medium = media.applied(self.medium, list(zip(loose, combination)))
            tree = hash(tuple(medium.tree()))
            if tree not in seen:
                seen.add(tree)
                yield self._new(medium)

    def _step(self, kind: str, path: str) -> None:
        if self.dead:
            raise Killed
        if self.watch is not None:
            self.watch(kind, path)
        self.operations += 1
        if self.operations == self.kill_at:
            self.dead = True
            self._held.clear()
            raise Killed
        code = self.fail_at.get(self.operations, 0)
        if not code and self.read_only and kind not in READING:
            code = errno.EROFS
        if not code and self.full and kind in GROWING:
            code = errno.ENOSPC
        if code:
            raise OSError(code, os.strerror(code), path)

    # -- paths ------------------------------------------------------------------------------

    def _find(self, path: str) -> int:
        node = media.ROOT
        for name in path.strip("/").split("/"):
            if node not in self._directories:
                raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
            if name:
                if name not in self._directories[node]:
                    raise FileNotFoundError(errno.ENOENT, "no such file", path)
                node = self._directories[node][name]
        return node

    def _parent(self, path: str) -> tuple[int, str]:
        parent, _, name = path.rstrip("/").rpartition("/")
        node = self._find(parent)
        if node not in self._directories:
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
        return node, name

    def _file(self, path: str) -> int:
        node = self._find(path)
        if node in self._directories:
            raise IsADirectoryError(errno.EISDIR, "is a directory", path)
        return node

    def _directory(self, path: str) -> int:
        node = self._find(path)
        if node not in self._directories:
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
        return node

    def _link(self, path: str, *, directory: bool) -> int:
        parent, name = self._parent(path)
        if name in self._directories[parent]:
            raise FileExistsError(errno.EEXIST, "exists", path)
        self._step("mkdir" if directory else "create", path)
        node, self._next = self._next, self._next + 1
        # An empty file or directory exists as soon as a name leads to it.
        if directory:
            self._directories[node] = {}
            self.medium = Medium(self.medium.files, {**self.medium.directories, node: {}})
        else:
            self._files[node] = b""
            self.medium = Medium({**self.medium.files, node: b""}, self.medium.directories)
        self._directories[parent][name] = node
        self.pending.append(Link(parent, name, node))
        return node

    def _put(self, path: str, node: int, offset: int, data: bytes) -> None:
        if not data:
            return
        grows = offset + len(data) > len(self._files[node])
        self._step("create" if grows else "write", path)
        self._files[node] = media.written(self._files[node], offset, data)
        self.pending.append(Write(node, offset, data))

    # -- irmcore.disk.Disk ------------------------------------------------------------------

    def read(self, path: str) -> bytes:
        if self.dead:
            raise Killed
        return self._files[self._file(path)]

    def read_from(self, path: str, offset: int) -> bytes:
        return self.read(path)[offset:]

    def create(self, path: str, data: bytes, *, sync: bool = False) -> None:
        node = self._link(path, directory=False)
        self._put(path, node, 0, data)
        if sync:
            self._flush("sync", path, node)

    def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None:
        node = self._file(path)
        self._put(path, node, offset, data)
        if sync:
            self._flush("sync", path, node)

    def append(self, path: str, data: bytes, *, sync: bool = False) -> None:
        node = self._file(path) if self.exists(path) else self._link(path, directory=False)
        self._put(path, node, len(self._files[node]), data)
        if sync:
            self._flush("sync", path, node)

    def sync(self, path: str) -> None:
        self._flush("sync", path, self._file(path))

    def sync_dir(self, path: str) -> None:
        self._flush("sync_dir", path, self._directory(path))

    def sync_all(self, files: Sequence[str], directories: Sequence[str] = ()) -> None:
        for path in files:
            self._flush("sync", path, self._file(path))
        for path in directories:
            self._flush("sync_dir", path, self._directory(path))

    def _flush(self, kind: str, path: str, node: int) -> None:
        stuck = set(map(id, self.stuck))
        due = [
            op
            for op in self.pending
            if (op.file if isinstance(op, Write) else op.directory) == node and id(op) not in stuck
        ]
        try:
            self._step(kind, path)
        except OSError:
            self.stuck.extend(due)  # they stay pending in their order, and no later sync makes them durable
            raise
        self.medium = media.applied(self.medium, [(op, media.WHOLE) for op in due])
        # A rename removes all earlier names of what it moves, even those that were never durable.
        last = {op.node: at for at, op in enumerate(self.pending) if op in due and isinstance(op, Move)}
        self.pending = [
            op
            for at, op in enumerate(self.pending)
            if op not in due
            and not (isinstance(op, (Link, Move)) and at < last.get(op.node, 0))
            and not any(_replaces(new, op) for new in self.pending[at:] if new in due)
        ]

    def make_dir(self, path: str) -> None:
        self._link(path, directory=True)

    def rename(self, old: str, new: str) -> None:
        old_parent, old_name = self._parent(old)
        node = self._find(old)
        parent, name = self._parent(new)
        there = self._directories[parent].get(name)
        if there == node:
            return
        if there is not None and (node in self._directories) != (there in self._directories):
            wrong = errno.EISDIR if there in self._directories else errno.ENOTDIR
            raise OSError(wrong, os.strerror(wrong), new)
        if there is not None and self._directories.get(there):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), new)
        self._step("rename", new)
        del self._directories[old_parent][old_name]
        self._directories[parent][name] = node
        self.pending.append(Move(old_parent, old_name, parent, name, node))

    def remove(self, path: str) -> None:
        self._file(path)
        self._unlink(path)

    def _unlink(self, path: str) -> None:
        parent, name = self._parent(path)
        self._step("remove", path)
        node = self._directories[parent].pop(name)
        self.pending.append(Unlink(parent, name, node))

    def remove_tree(self, path: str) -> None:
        if not self.exists(path):
            return
        for name in self.names(path):  # none of a file
            self.remove_tree(f"{path}/{name}")
        self._unlink(path)

    def names(self, path: str) -> list[str]:
        if self.dead:
            raise Killed
        try:
            return sorted(self._directories[self._directory(path)])
        except (FileNotFoundError, NotADirectoryError):
            return []

    def names_by_age(self, path: str) -> list[str]:
        """Nodes are numbered as they are created."""
        names = self.names(path)
        return sorted(names, key=self._directories[self._directory(path)].__getitem__) if names else []

    def exists(self, path: str) -> bool:
        if self.dead:
            raise Killed
        try:
            self._find(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def size(self, path: str) -> int:
        return len(self.read(path))

    def free_bytes(self, path: str) -> int:
        self._find(path)
        return 0 if self.full else 1 << 40

    def try_lock(self, path: str, *, shared: bool = False) -> _Lock | None:
        if self.exists(path):
            node = self._file(path)
            if self.read_only:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        else:
            node = self._link(path, directory=False)
        others = [lock for lock in self._held if lock.node == node]
        if others and not (shared and all(lock.shared for lock in others)):
            return None
        lock = _Lock(self._held, node, shared=shared)
        self._held.append(lock)
        return lock

    def place(self, path: str) -> Place:
        return Place("a-machine", "ext4", self._find(path))


class Careless(PowerLossDisk):
    """The same without the syncs at one call site, to show what each of them is for.

    A site is the calling function and the name of the file or directory (with the state, for a state file).
    """

    def __init__(
        self, medium: Medium, without: str, sites: set[str], name_of: Callable[[bytes], str]
    ) -> None:
        super().__init__(medium)
        self._without = without
        self._sites = sites
        self._name_of = name_of

    def _new(self, medium: Medium) -> PowerLossDisk:
        return Careless(medium, self._without, self._sites, self._name_of)

    def _flush(self, kind: str, path: str, node: int) -> None:
        if not self._skipped(path):
            super()._flush(kind, path, node)

    def _skipped(self, path: str) -> bool:
        folder, name = path.split("/")[-2:]
        if name == "state":
            name = f"state {self._name_of(self.read(path))}"
        elif folder.isdigit() or any(character.isdigit() for character in name):
            name = "*"  # any file in a staging directory, or with an id in its name
        site = f"{sys._getframe(3).f_code.co_name}: {name}"  # noqa: SLF001 - who called the disk
        self._sites.add(site)
        return site == self._without
