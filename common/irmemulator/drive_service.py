"""Emulates the calls of Microsoft Graph that read and change the files of a drive.

Promised, as Microsoft's pages describe it: Sites.Selected with a role for the site; a site and an item by
path; children and delta in pages; delta for the root only, with `token=latest`, without cTag and path, with
deleted items, with the folders above a change unless `deltaExcludeParent`, 410 with Location for an old
token; If-Match with eTag or cTag (412), a taken name (409), a locked or checked-out file (423); a download
URL on another host that needs no token, is valid for some minutes and takes a Range.
Not promised: other calls and properties, the codes of 412 and 423 (undocumented), upload sessions.
Sources: learn.microsoft.com/graph/api, the pages site-getbypath, drive-list, driveitem-get, -list-children,
-delta, -move, -delete, -put-content, -post-children, -get-content; …/graph/permissions-selected-overview.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from irmemulator.graph_drive import DriveItem, GraphDrive
from irmemulator.graph_errors import RefusedError
from irmemulator.http_messages import Reply, Request, json_reply

SITES = "Sites.Selected"
#: Seconds for which a download URL is valid; Microsoft's page says "a few minutes".
DOWNLOAD_S = 300.0

_SITE = re.compile(r"/v1\.0/sites/([^/:,]+)(?::/(.+))?")
_DRIVES = re.compile(r"/v1\.0/sites/([^/:]+)/drives")
_ROOT = re.compile(r"/v1\.0/drives/([^/]+)/root(?::/(.+))?")
_DELTA = re.compile(r"/v1\.0/drives/([^/]+)/root/delta(?:\(\))?")
_ITEM = re.compile(r"/v1\.0/drives/([^/]+)/items/([^/:]+)")
_CHILDREN = re.compile(_ITEM.pattern + r"/children")
_CHILD = re.compile(_ITEM.pattern + r":/([^/:]+)")
_CONTENT = re.compile(_CHILD.pattern + r":/content")
_DOWNLOAD = re.compile(r"/download/([\w-]+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
#: Not returned unless they are selected.
_ON_REQUEST = ("publication",)

Answer = Callable[[Request, re.Match[str]], Reply]


@dataclass
class DriveOptions:
    """How the drive behaves; may be changed while it runs.

    ``role`` is the application's on the site: "", "read" or "write". A download may ignore a Range
    (``ranges``); its URL is valid for ``download_s`` seconds.
    """

    role: str = "write"
    page_size: int = 200
    ranges: bool = True
    download_s: float = DOWNLOAD_S


class DriveService:
    """The calls of one drive. Safe between threads."""

    def __init__(self, drive: GraphDrive, options: DriveOptions) -> None:
        self.drive, self.options = drive, options
        #: The requests for contents, which must have no token.
        self.downloads: list[Request] = []
        self._tickets: dict[str, tuple[DriveItem, float]] = {}
        self._first_token = 0
        self._lock = threading.Lock()
        self._calls: tuple[tuple[re.Pattern[str], dict[str, Answer]], ...] = (
            (_DRIVES, {"GET": self._drives}),
            (_SITE, {"GET": self._site}),
            (_DELTA, {"GET": self._delta}),
            (_ROOT, {"GET": self._at_path}),
            (_CHILDREN, {"GET": self._children, "POST": self._create}),
            (_CONTENT, {"PUT": self._put}),
            (_CHILD, {"GET": self._child}),
            (_ITEM, {"GET": self._get, "PATCH": self._move, "DELETE": self._delete}),
        )

    def find(self, request: Request) -> Callable[[Request], Reply] | None:
        """What answers a request to the drive; None if it is not one."""
        for pattern, methods in self._calls:
            match = pattern.fullmatch(request.path)
            if match is not None and request.method in methods:
                answer = methods[request.method]

                def act(whole: Request, answer: Answer = answer, match: re.Match[str] = match) -> Reply:
                    self._authorize(whole)
                    with self.drive.lock:
                        return answer(whole, match)

                return act
        return None

    def download(self, request: Request) -> Callable[[Request], Reply] | None:
        """What answers a request for a content, which has no token; None if it is not one."""
        match = _DOWNLOAD.fullmatch(request.path)
        return None if match is None else lambda whole: self._download(whole, match[1])

    def reset(self) -> None:
        """Let all delta tokens of before get a 410."""
        self._first_token = self.drive.number + 1

    def _authorize(self, request: Request) -> None:
        role = self.options.role
        if not role or (request.method != "GET" and role != "write"):
            raise RefusedError(403, "accessDenied", "Access denied")

    def _site(self, request: Request, match: re.Match[str]) -> Reply:
        drive = self.drive
        if (match[1].lower(), unquote(match[2] or "").lower()) != (drive.host, drive.site.lower()):
            raise _absent()
        url = f"https://{drive.host}/{drive.site}"
        return json_reply(200, {"id": drive.site_id, "name": drive.site.rpartition("/")[2], "webUrl": url})

    def _drives(self, request: Request, match: re.Match[str]) -> Reply:
        drive = self.drive
        if unquote(match[1]) != drive.site_id:
            raise _absent()
        # A library's name is not always that in its URL: "Documents" is at "Shared Documents".
        url = f"https://{drive.host}/{drive.site}/Shared%20{drive.library}"
        return json_reply(200, {"value": [{"id": drive.id, "name": drive.library, "webUrl": url}]})

    def _at_path(self, request: Request, match: re.Match[str]) -> Reply:
        self._check(match)
        return self._item_reply(self.drive.find(unquote(match[2] or "")), request)

    def _get(self, request: Request, match: re.Match[str]) -> Reply:
        return self._item_reply(self._item(match), request)

    def _child(self, request: Request, match: re.Match[str]) -> Reply:
        return self._item_reply(self.drive.child(self._item(match).id, unquote(match[3])), request)

    def _item_reply(self, item: DriveItem | None, request: Request, status: int = 200) -> Reply:
        if item is None:
            raise _absent()
        document = self.drive.as_json(item)
        if item.content is not None:
            document["@microsoft.graph.downloadUrl"] = self._url(item, request)
        return json_reply(status, _selected(document, request))

    def _children(self, request: Request, match: re.Match[str]) -> Reply:
        items = [self.drive.as_json(one) for one in self.drive.children(self._item(match).id)]
        page, rest = self._page(items, request)
        document: dict[str, Any] = {"value": [_selected(one, request) for one in page]}
        if rest:
            document["@odata.nextLink"] = _link(request, "$skiptoken", rest)
        return json_reply(200, document)

    def _page(self, items: list[Any], request: Request) -> tuple[list[Any], int]:
        start = int(request.parameters.get("$skiptoken", 0))
        end = start + self.options.page_size
        return items[start:end], end if end < len(items) else 0

    def _delta(self, request: Request, match: re.Match[str]) -> Reply:
        self._check(match)
        token = request.parameters.get("token", "0")
        if token != "latest" and 0 < int(token) < self._first_token:  # noqa: S105 - a word of the interface
            start = f"{request.origin}{request.path}?token=0"
            message = "Resync required."
            raise RefusedError(410, "resyncChangesApplyDifferences", message, ("Location", start))
        items: list[DriveItem] = []
        if token != "latest":  # noqa: S105
            items = self.drive.changed_since(int(token))
            if "deltaexcludeparent" not in request.headers:
                items = self._with_parents(items)
        page, rest = self._page(items, request)
        document: dict[str, Any] = {"value": [self._change(one) for one in page]}
        if rest:
            document["@odata.nextLink"] = _link(request, "$skiptoken", rest)
        else:
            document["@odata.deltaLink"] = f"{request.origin}{request.path}?token={self.drive.number}"
        return json_reply(200, document)

    def _with_parents(self, items: list[DriveItem]) -> list[DriveItem]:
        found = {one.id: one for one in items}
        for one in items:
            parent = self.drive.get(one.parent)
            while parent is not None:
                found.setdefault(parent.id, parent)
                parent = self.drive.get(parent.parent)
        return list(found.values())

    def _change(self, item: DriveItem) -> dict[str, Any]:
        document = self.drive.as_json(item)
        del document["cTag"]
        if item.deleted:
            del document["name"]
            document["deleted"] = {"state": "deleted"}
        return document

    def _create(self, request: Request, match: re.Match[str]) -> Reply:
        folder, wanted = self._item(match), _document(request)
        name = _name(wanted.get("name"))
        if "folder" not in wanted or wanted.get("@microsoft.graph.conflictBehavior") != "fail":
            raise RefusedError(400, "invalidRequest", "Only folders, and only if the name is free.")
        if self.drive.child(folder.id, name) is not None:
            raise _taken()
        return self._item_reply(self.drive.create(folder.id, name, None), request, 201)

    def _put(self, request: Request, match: re.Match[str]) -> Reply:
        folder, name = self._item(match), _name(unquote(match[3]))
        there = self.drive.child(folder.id, name)
        if there is None:
            made = self.drive.create(folder.id, name, request.body or b"")
            return self._item_reply(made, request, 201)
        _require_unlocked(there)
        self.drive.change(there, content=request.body or b"")
        return self._item_reply(there, request)

    def _move(self, request: Request, match: re.Match[str]) -> Reply:
        item, wanted = self._item(match), _document(request)
        _require_match(item, request)
        parent = self.drive.get(str(wanted.get("parentReference", {}).get("id", item.parent)))
        if parent is None:
            raise _absent()
        name = _name(wanted.get("name", item.name))
        there = self.drive.child(parent.id, name)
        if there is not None and there is not item:
            raise _taken()
        _require_unlocked(item)
        self.drive.change(item, parent=parent.id, name=name)
        return self._item_reply(item, request)

    def _delete(self, request: Request, match: re.Match[str]) -> Reply:
        item = self._item(match)
        _require_match(item, request)
        _require_unlocked(item)
        self.drive.change(item, deleted=True)
        return Reply(204)

    def _check(self, match: re.Match[str]) -> None:
        if unquote(match[1]) != self.drive.id:
            raise _absent()

    def _item(self, match: re.Match[str]) -> DriveItem:
        self._check(match)
        found = self.drive.get(unquote(match[2]))
        if found is None:
            raise _absent()
        return found

    def _url(self, item: DriveItem, request: Request) -> str:
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._tickets[ticket] = (item, time.monotonic())
        # Another host than Graph's.
        other = "localhost" if urlsplit(request.origin).hostname != "localhost" else "127.0.0.1"
        return f"https://{other}:{urlsplit(request.origin).port}/download/{ticket}"

    def _download(self, request: Request, ticket: str) -> Reply:
        with self._lock:
            self.downloads.append(request)
            item, made = self._tickets.get(ticket, (None, 0.0))
        if item is None or item.content is None or time.monotonic() - made > self.options.download_s:
            return Reply(401)
        content, kind = item.content, ("Content-Type", "application/octet-stream")
        wanted = _RANGE.fullmatch(request.headers.get("range", ""))
        if wanted is None or not self.options.ranges:
            return Reply(200, (kind,), content)
        start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(content))
        if start >= end:
            return Reply(416)
        part = f"bytes {start}-{end - 1}/{len(content)}"
        return Reply(206, (kind, ("Content-Range", part)), content[start:end])


def _selected(document: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """The selected properties; by default all but those of ``_ON_REQUEST``."""
    names = request.parameters.get("$select", "")
    if names:
        return {name: document[name] for name in names.split(",") if name in document}
    return {name: value for name, value in document.items() if name not in _ON_REQUEST}


def _link(request: Request, name: str, value: object) -> str:
    kept = [part for part in request.query.split("&") if part and not part.startswith(name)]
    return f"{request.origin}{request.path}?{'&'.join([*kept, f'{name}={value}'])}"


def _document(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(request.body or b"")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RefusedError(400, "invalidRequest", "The request has no JSON object.")
    return found


def _name(name: object) -> str:
    if not isinstance(name, str) or not name or set(name) & set('"*:<>?/\\|') or name.strip() != name:
        raise RefusedError(400, "invalidRequest", "The provided name is not allowed.")
    return name


def _require_match(item: DriveItem, request: Request) -> None:
    if request.headers.get("if-match", item.e_tag) not in (item.e_tag, item.c_tag):
        raise RefusedError(412, "resourceModified", "ETag does not match current item's value")


def _require_unlocked(item: DriveItem) -> None:
    if item.locked or item.facets.get("publication", {}).get("level") == "checkout":
        raise RefusedError(423, "resourceLocked", "The resource you are attempting to access is locked")


def _taken() -> RefusedError:
    return RefusedError(409, "nameAlreadyExists", "An item with the same name already exists")


def _absent() -> RefusedError:
    return RefusedError(404, "itemNotFound", "The resource could not be found.")
