"""A watched folder of SharePoint or OneDrive.

Graph's delta of the drive says whether anything in the folder changed; only then is the folder listed. (What
delta itself lists is the whole drive, without the cTag.) A change while the folder is listed comes with the
next delta, which has it listed anew. The delta link, with the last listing, is a cache: without it, or after
a 410, the folder is listed. A file is read in parts, to a copy in the outbox directory.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from irmcore.clock import Clock
from irmcore.disk import replace_file, system_disk
from irmcore.errors import WaitError
from irmsentinel.azure.graph_client import NotFound, ResyncRequired

from irmcli.watching.copies import SUBFOLDERS
from irmcli.watching.drive import MAX_UPLOAD, Drive, Item
from irmcli.watching.folder import MAX_DEPTH, Folder, Found, is_unfinished, state_of, with_mark

_CACHE = "listing.json"


class DriveFolder(Folder):
    """``state`` is a directory in the outbox directory, which no other user can reach."""

    # Every look is a request: learn.microsoft.com/sharepoint/dev/general-development/
    # how-to-avoid-getting-throttled-or-blocked-in-sharepoint-online
    poll = 60.0
    block = 8 * 1024 * 1024
    #: Bytes of a file that is written.
    max_upload = MAX_UPLOAD

    def __init__(self, drive: Drive, title: str, state: Path, clock: Clock, *, settle: float) -> None:
        super().__init__(title, state_of(state, title), clock, settle=settle)
        self.soon = settle
        self._drive = drive
        self._link = ""
        self._known: set[str] = set()
        self._files: dict[str, Found] = {}
        self._refused: dict[str, str] = {}
        self._folders: dict[tuple[str, ...], str] = {}
        self._content = ""

    def _check(self) -> None:
        self._drive.begin()
        self._folders = {(): self._drive.folder()}
        for name in SUBFOLDERS:
            self._folder((name,))
        self._restore()

    def _list(self) -> Iterator[Found]:
        self._drive.begin()
        link, changed = self._changes()
        if changed:
            self._link = ""
            self._walk()
        self._link = link
        if changed:
            self._keep()
        return iter(self._files.values())

    def _changes(self) -> tuple[str, bool]:
        """The next delta link, and whether the folder must be listed."""
        if self._link:
            try:
                items, link = self._drive.changes(self._link)
            except (ResyncRequired, NotFound):
                pass  # the link was only a cache: the folder is listed as a whole
            else:
                return link, any(map(self._concerns, items))
        return self._drive.latest(), True

    def _concerns(self, item: Item) -> bool:
        """Whether a change may be one of this folder. An item that is gone may have no parent any more."""
        parent = _parent(item)
        return not parent or parent in self._known or item.get("id") in self._known

    def _walk(self) -> None:
        top = self._drive.folder()
        self._folders = {(): top}
        self._known, self._files, self._refused = {top}, {}, {}
        self._walk_folder(top, ())

    def _walk_folder(self, folder: str, parts: tuple[str, ...]) -> None:
        for item in self._drive.children(folder):
            name, identity = str(item.get("name")), str(item.get("id"))
            if name.startswith(".") or (not parts and name.lower() in SUBFOLDERS):
                continue
            self._known.add(identity)
            if "folder" in item and "remoteItem" not in item:
                if len(parts) < MAX_DEPTH:
                    self._walk_folder(identity, (*parts, name))
            elif "file" in item and not {"package", "remoteItem"} & item.keys() and not is_unfinished(name):
                path = "/".join((*parts, name))
                version = _version({**item, "parentReference": {"id": folder}})
                self._files[path] = Found(path, version, _size(item))
                if reason := _refusal(item):
                    self._refused[path] = reason

    def take(self, found: Found) -> str | None:
        if found.name in self._refused:
            raise WaitError(self._refused[found.name], where=found.name, next_step="It stays where it is.")
        item = self._unchanged(found)
        if item is None:
            return None
        current, at = item, 0

        def read(size: int) -> bytes:
            nonlocal at, current
            part = self._drive.read(current, at, size)
            if part is None:  # a URL is valid for some minutes
                current = self._unchanged(found) or {}
                part = self._drive.read(current, at, size)
            at += len(part or b"")
            return part or b""

        self._content = self._save(found, read)
        if self.changed(found):
            return None
        if at != found.size:
            raise WaitError(
                "SharePoint does not hand out the content of this file",
                where=found.name,
                next_step="Check whether a policy of the site blocks downloads. It is tried again.",
            )
        return self._content

    def changed(self, found: Found) -> bool:
        return self._unchanged(found) is None

    def _unchanged(self, found: Found) -> Item | None:
        item = self._drive.item(str(found.version[0]))
        return item if item is not None and _version(item) == found.version else None

    def _digest(self, found: Found, subfolder: str, size: int) -> str | None:
        item = self._drive.child(self._folder((subfolder, *found.folders)), found.base)
        return None if item is None else self._digest_of(item, size)

    def _digest_of(self, item: Item, size: int) -> str:
        if "file" not in item or _size(item) != size:
            return ""
        digest = hashlib.sha256()
        for start in range(0, size, self.block):
            part = self._drive.read(item, start, min(self.block, size - start))
            if part is None:
                return ""
            digest.update(part)
        return digest.hexdigest()

    def put(self, found: Found, subfolder: str, name: str) -> bool:
        identity, version = str(found.version[0]), str(found.version[3])
        folder = self._folder((subfolder, *found.folders))
        status = self._drive.move(identity, version, folder, name)
        if status == HTTPStatus.CONFLICT:
            there = self._drive.child(folder, name)
            if there is None or not self._content or self._digest_of(there, found.size) != self._content:
                raise WaitError(
                    "another file of this name has come meanwhile",
                    where=f"{subfolder}/{name}",
                    next_step="It is tried again.",
                )
            # The same content is there already.
            status = self._drive.delete(identity, version, found.name)
        self.copy.unlink(missing_ok=True)
        if status not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
            self._link = ""  # the file, or the folder that it was to move to, is not what it was
            return False
        del self._files[found.name]
        return True

    def write(self, found: Found, subfolder: str, name: str, data: bytes) -> None:
        """In several files to be joined, if there is more than one upload may have."""
        folder = self._folder((subfolder, *found.folders))
        for number, start in enumerate(range(0, len(data), self.max_upload), 1):
            part = name if number == 1 else with_mark(name, f"part{number}")
            self._drive.upload(folder, part, data[start : start + self.max_upload])

    def _folder(self, parts: tuple[str, ...]) -> str:
        if parts not in self._folders:
            self._folders[parts] = self._drive.subfolder(self._folder(parts[:-1]), parts[-1])
        return self._folders[parts]

    def _keep(self) -> None:
        """Keep the delta link and the listing for the next process."""
        files = [[one.name, one.version, one.size] for one in self._files.values()]
        kept = {"link": self._link, "known": sorted(self._known), "files": files, "refused": self._refused}
        replace_file(system_disk(), str(self._state / _CACHE), json.dumps(kept).encode("ascii"))

    def _restore(self) -> None:
        try:
            kept = json.loads((self._state / _CACHE).read_bytes())
            if not self._drive.owns(kept["link"]):
                return
            self._link, self._known, self._refused = kept["link"], set(kept["known"]), kept["refused"]
            self._files = {name: Found(name, tuple(at), size) for name, at, size in kept["files"]}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            self._link = ""  # none, or not a whole one


def _parent(item: Item) -> str:
    parent = item.get("parentReference")
    return str(parent.get("id") or "") if isinstance(parent, Mapping) else ""


def _size(item: Item) -> int:
    size: Any = item.get("size")
    return size if isinstance(size, int) else 0


def _version(item: Item) -> tuple[str | int, ...]:
    """Which item it is, where, and which content it has; the eTag changes with every label, too."""
    return str(item.get("id")), _parent(item), str(item.get("name")), str(item.get("cTag")), _size(item)


def _refusal(item: Item) -> str:
    if "malware" in item:
        return "SharePoint has found malware in this file"
    publication = item.get("publication")
    if isinstance(publication, Mapping) and publication.get("level") == "checkout":
        return "this file is checked out"
    return ""
