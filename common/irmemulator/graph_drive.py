"""A SharePoint library (or OneDrive) of an emulated tenant: its items, and what changed since when.

Promised: names are compared without case; a cTag changes with the content, an eTag with any property; each
change has a number. Not promised: sharing, versions, a recycle bin. Safe between threads.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class DriveItem:
    """A file, or a folder if ``content`` is None. ``facets`` are more properties, such as `malware`."""

    id: str
    name: str
    parent: str
    content: bytes | None
    content_number: int
    number: int
    deleted: bool = False
    locked: bool = False
    facets: dict[str, Any] = field(default_factory=dict)

    @property
    def c_tag(self) -> str:
        return f'"c:{{{self.id}}},{self.content_number}"'

    @property
    def e_tag(self) -> str:
        return f'"{{{self.id}}},{self.number}"'


class GraphDrive:
    """The library ``library`` of the site at ``https://host/site``. Safe between threads."""

    host, site, library = "contoso.sharepoint.com", "sites/hr", "Documents"

    def __init__(self) -> None:
        self.site_id = f"{self.host},{uuid.uuid4()},{uuid.uuid4()}"
        self.id = f"b!{uuid.uuid4().hex}"
        self.lock = threading.RLock()
        self.number = 1
        self.root = DriveItem(uuid.uuid4().hex, "root", "", None, 1, 1)
        self._items = {self.root.id: self.root}

    def get(self, item: str) -> DriveItem | None:
        """An item that is not deleted."""
        with self.lock:
            found = self._items.get(item)
            return None if found is None or found.deleted else found

    def child(self, parent: str, name: str) -> DriveItem | None:
        """The item of this name in a folder."""
        return next((one for one in self.children(parent) if one.name.lower() == name.lower()), None)

    def children(self, parent: str) -> list[DriveItem]:
        """What is in a folder, by name."""
        with self.lock:
            found = [one for one in self._items.values() if one.parent == parent and not one.deleted]
        return sorted(found, key=lambda one: one.name)

    def changed_since(self, number: int) -> list[DriveItem]:
        """What changed after a change's number."""
        with self.lock:
            return [one for one in self._items.values() if one.number > number]

    def create(self, parent: str, name: str, content: bytes | None) -> DriveItem:
        """A new item."""
        with self.lock:
            number = self._next()
            made = DriveItem(uuid.uuid4().hex, name, parent, content, number, number)
            self._items[made.id] = made
            return made

    def change(self, item: DriveItem, **properties: Any) -> None:
        """Change fields of an item."""
        with self.lock:
            for name, value in properties.items():
                setattr(item, name, value)
            item.number = self._next()
            if "content" in properties:
                item.content_number = item.number

    def _next(self) -> int:
        self.number += 1
        return self.number

    # -- by path, as people use it ------------------------------------------------------------

    def find(self, path: str) -> DriveItem | None:
        """The item at a path; the root at an empty one."""
        found: DriveItem | None = self.root
        for name in filter(None, path.split("/")):
            found = self.child(found.id, name) if found is not None else None
        return found

    def folder(self, path: str) -> DriveItem:
        """The folder at a path, created if it is missing."""
        with self.lock:
            found = self.root
            for name in filter(None, path.split("/")):
                found = self.child(found.id, name) or self.create(found.id, name, None)
            return found

    def save(self, path: str, content: bytes) -> DriveItem:
        """Create or replace a file, and the folders on the way to it."""
        parent, _, name = path.rpartition("/")
        with self.lock:
            folder = self.folder(parent)
            there = self.child(folder.id, name)
            if there is None:
                return self.create(folder.id, name, content)
            self.change(there, content=content)
            return there

    def files(self) -> dict[str, bytes]:
        """The content of every file by path."""
        with self.lock:
            return dict(self._below(self.root, ""))

    def _below(self, folder: DriveItem, path: str) -> Iterator[tuple[str, bytes]]:
        for one in self.children(folder.id):
            if one.content is None:
                yield from self._below(one, f"{path}{one.name}/")
            else:
                yield path + one.name, one.content

    def as_json(self, item: DriveItem) -> dict[str, Any]:
        """An item as Graph returns it, without its download URL."""
        document: dict[str, Any] = {
            "id": item.id, "name": item.name, "eTag": item.e_tag, "cTag": item.c_tag,
            "size": len(item.content or b""), **item.facets,
        }  # fmt: skip
        if item is self.root:
            return {**document, "root": {}, "folder": {"childCount": len(self.children(item.id))}}
        document["parentReference"] = {"driveId": self.id, "id": item.parent}
        if item.content is None:
            return {**document, "folder": {"childCount": len(self.children(item.id))}}
        return {**document, "file": {"hashes": {"sha256Hash": hashlib.sha256(item.content).hexdigest()}}}
