"""A disk in memory: what a process copies from a store, and loses with the process.

So no row lies on a disk that the store's owner does not know of. A path may begin with the store's address.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Union

from irmcore.disk import Lock, Place

_Directory = dict[str, "_Node"]
_Node = Union[bytearray, "_Directory"]


class MemoryDisk:
    """An :class:`irmcore.disk.Disk` of one process, for several threads. ``host`` is its place's."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._root: _Directory = {}
        #: How many hold a lock; -1 for one who has it alone.
        self._held: dict[str, int] = {}

    def _find(self, path: str) -> _Node:
        node: _Node = self._root
        for name in path.split("/"):
            if not isinstance(node, dict):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            if name not in node:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            node = node[name]
        return node

    def _file(self, path: str) -> bytearray:
        node = self._find(path)
        if isinstance(node, dict):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return node

    def _parent(self, path: str) -> tuple[_Directory, str]:
        folder, _, name = path.rpartition("/")
        node = self._find(folder)
        if not isinstance(node, dict):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return node, name

    def read(self, path: str) -> bytes:
        return bytes(self._file(path))

    def read_from(self, path: str, offset: int) -> bytes:
        return bytes(self._file(path)[offset:])

    def create(self, path: str, data: bytes, *, sync: bool = False) -> None:
        parent, name = self._parent(path)
        if name in parent:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        parent[name] = bytearray(data)

    def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None:
        file = self._file(path)
        file.extend(bytes(max(offset - len(file), 0)))  # as in a file with a hole
        file[offset : offset + len(data)] = data

    def append(self, path: str, data: bytes, *, sync: bool = False) -> None:
        parent, name = self._parent(path)
        parent.setdefault(name, bytearray())
        self._file(path).extend(data)

    def sync(self, path: str) -> None:
        self._file(path)

    def sync_dir(self, path: str) -> None:
        self._parent(f"{path}/")

    def sync_all(self, files: Sequence[str], directories: Sequence[str] = ()) -> None:
        for path in files:
            self.sync(path)
        for path in directories:
            self.sync_dir(path)

    def make_dir(self, path: str) -> None:
        parent, name = self._parent(path)
        if name in parent:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        parent[name] = {}

    def make_dirs(self, path: str) -> None:
        """Create a directory and those above it, as far as they are missing."""
        node: _Node = self._root
        for name in path.split("/"):
            if not isinstance(node, dict):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            node = node.setdefault(name, {})

    def rename(self, old: str, new: str) -> None:
        source, name = self._parent(old)
        self._find(old)
        target, new_name = self._parent(new)
        if isinstance(target.get(new_name), dict) and target[new_name]:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), new)
        target[new_name] = source.pop(name)

    def remove(self, path: str) -> None:
        self._file(path)
        parent, name = self._parent(path)
        del parent[name]

    def remove_tree(self, path: str) -> None:
        if self.exists(path):
            parent, name = self._parent(path)
            del parent[name]

    def names(self, path: str) -> list[str]:
        try:
            node = self._find(path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(list(node)) if isinstance(node, dict) else []  # noqa: C414 - threads add names

    def names_by_age(self, path: str) -> list[str]:
        """In the order of their names: files in memory have no times."""
        return self.names(path)

    def exists(self, path: str) -> bool:
        try:
            self._find(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def size(self, path: str) -> int:
        return len(self._file(path))

    def free_bytes(self, path: str) -> int:
        return 1 << 40

    def try_lock(self, path: str, *, shared: bool = False) -> Lock | None:
        held = self._held.get(path, 0)
        if held if not shared else held < 0:
            return None
        self._held[path] = held + 1 if shared else -1
        return _Held(self._held, path)

    def place(self, path: str) -> Place:
        return Place(self._host, "", None)


class _Held:
    """A lock of a process that nobody else can see."""

    def __init__(self, held: dict[str, int], path: str) -> None:
        self._held = held
        self._path: str | None = path

    def release(self) -> None:
        if self._path is not None:
            self._held[self._path] = max(self._held[self._path] - 1, 0)
            self._path = None
