"""A watched prefix of a container of Azure Blob Storage, or of a bucket of S3.

A blob is complete when it can be listed; one that is appended to is left for the settle time. To archive a
file, the copy that was read is written to the archive, and then the file is deleted if it is still the same.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from irmcore.clock import Clock
from irmcore.errors import WaitError

from irmcli.object_store.container import Blob, Container
from irmcli.watching.copies import SUBFOLDERS
from irmcli.watching.folder import MAX_DEPTH, Folder, Found, is_unfinished, state_of


class ContainerFolder(Folder):
    """``state`` is a directory in the outbox directory, which no other user can reach."""

    poll = 60.0  # every look is a request for each folder
    block = 8 * 1024 * 1024

    def __init__(self, container: Container, title: str, state: Path, clock: Clock, *, settle: float) -> None:
        super().__init__(title, state_of(state, title), clock, settle=settle)
        self.soon = settle
        self._container = container

    def _check(self) -> None:
        self._container.folder("")

    def _list(self) -> Iterator[Found]:
        return self._walk("", 0)

    def _walk(self, folder: str, depth: int) -> Iterator[Found]:
        files, folders = self._container.folder(folder)
        for blob in files:
            if not is_unfinished(PurePosixPath(blob.path).name):
                yield Found(blob.path, (blob.path, blob.size, blob.tag), blob.size)
        for path in folders:
            name = PurePosixPath(path).name
            if depth < MAX_DEPTH and not name.startswith(".") and not (depth == 0 and name in SUBFOLDERS):
                yield from self._walk(path, depth + 1)

    def take(self, found: Found) -> str | None:
        if found.size > self.max_bytes:
            raise WaitError(  # without a copy it cannot be moved
                f"the file has more than {self.max_bytes:,} bytes",
                where=found.name,
                next_step="Check its origin. If it is right, split it. It stays where it is.",
            )
        blob, at, gone = _blob(found), 0, False

        def read(size: int) -> bytes:
            nonlocal at, gone
            part = self._container.read(blob, at, size)
            gone = part is None
            at += len(part or b"")
            return part or b""

        content = self._save(found, read)
        return None if gone or at != found.size or self.changed(found) else content

    def changed(self, found: Found) -> bool:
        return self._container.find(found.name) != _blob(found)

    def _digest(self, found: Found, subfolder: str, size: int) -> str | None:
        there = self._container.find(_path(found, subfolder, found.base))
        if there is None:
            return None
        if there.size != size:
            return ""
        digest = hashlib.sha256()
        for start in range(0, size, self.block):
            digest.update(self._container.read(there, start, min(self.block, size - start)) or b"")
        return digest.hexdigest()

    def put(self, found: Found, subfolder: str, name: str) -> bool:
        self._container.write(_path(found, subfolder, name), self.copy)
        deleted = self._container.delete(_blob(found))
        self.copy.unlink(missing_ok=True)
        return deleted

    def write(self, found: Found, subfolder: str, name: str, data: bytes) -> None:
        self._container.write(_path(found, subfolder, name), data)


def _blob(found: Found) -> Blob:
    return Blob(found.name, found.size, str(found.version[2]))


def _path(found: Found, subfolder: str, name: str) -> str:
    return "/".join((subfolder, *found.folders, name))
