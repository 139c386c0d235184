"""A folder of a SharePoint library or OneDrive as Microsoft Graph shows it: find, list, read, write and move.

Promised: an item changes only if its content is still the one that was listed (cTag), and each call may be
repeated after its answer was lost. Graph's limits and errors come as messages that say whom to ask.
Sources: learn.microsoft.com/graph/api, the pages driveitem-delta, -list-children, -get, -move, -put-content,
-delete, -post-children, site-getbypath and drive-list; …/graph/permissions-selected-overview.
Not tested: a live tenant; the tests use the emulator.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from irmcore.errors import ConfigurationError, WaitError
from irmsentinel.azure.graph_client import Answer, Forbidden, GraphClient, NotFound, ResyncRequired

from irmcli.watching.sharepoint_address import SharePointAddress

PERMISSION = "Sites.Selected"
#: Bytes that one request uploads. Graph accepts 250 MB; this much also ends in time on a slow network.
MAX_UPLOAD = 32 * 1024 * 1024
_NOT_FOUND, _CONFLICT, _CHANGED, _LOCKED = 404, 409, 412, 423
_FIELDS = "id,name,size,cTag,file,folder,package,remoteItem,malware,publication,parentReference"
#: Only what changed, not also the folders above it.
_DELTA = {"deltaExcludeParent": "true"}

Item = Mapping[str, Any]


class Drive:
    """The drive of a folder's address. Every method raises IrmError."""

    def __init__(self, client: GraphClient, address: SharePointAddress) -> None:
        self._client = client
        self._address = address
        self._root = ""

    def owns(self, link: str) -> bool:
        """Whether a delta link is of this client's host."""
        return self._client.is_own(link)

    def begin(self) -> None:
        """Let the time begin in which the next requests must be done."""
        self._client.begin()

    def folder(self) -> str:
        """The id of the addressed folder, which must exist."""
        if not self._root:
            self._root = f"/v1.0/drives/{quote(self._drive())}"
        path = "/".join(quote(part, safe="") for part in self._address.folder)
        found = self._get(f"{self._root}/root{f':/{path}' if path else ''}?$select=id,folder")
        if found is None or "folder" not in found:
            raise ConfigurationError(
                "there is no such folder in the library",
                where=str(self._address),
                next_step="Create it, or correct the address. irmexport does not create it.",
            )
        return str(found["id"])

    def _drive(self) -> str:
        at = self._address
        site = self._get(f"/v1.0/sites/{at.host}{f':/{quote(at.site)}' if at.site else ''}?$select=id")
        if site is None:
            raise ConfigurationError(
                "SharePoint has no such site",
                where=str(at),
                next_step="Open the site in a browser and compare the address.",
            )
        names = []
        for drive in self._pages(f"/v1.0/sites/{quote(site['id'])}/drives?$select=id,name,webUrl"):
            names.append(str(drive.get("name")))
            in_url = unquote(str(drive.get("webUrl")).rsplit("/", 1)[-1])
            if at.library.lower() in (names[-1].lower(), in_url.lower()):
                return str(drive["id"])
        raise ConfigurationError(
            f"the site has no library {at.library}",
            where=str(at),
            next_step=f"Name one of its libraries: {', '.join(names) or 'it has none'}.",
        )

    def children(self, folder: str) -> Iterator[Item]:
        """What is in a folder."""
        return self._pages(f"{self._root}/items/{quote(folder)}/children?$select={_FIELDS}")

    def latest(self) -> str:
        """The link for what changes from now on."""
        return self.changes(f"{self._root}/root/delta?token=latest")[1]

    def changes(self, link: str) -> tuple[list[Item], str]:
        """What changed in the drive since a link, and the next link. Raises ResyncRequired."""
        items: list[Item] = []
        try:
            for page in self._client.pages(link, PERMISSION, _DELTA):
                items.extend(page.items)
                if page.delta_link is not None:
                    return items, page.delta_link
        except Forbidden:
            raise self._forbidden() from None
        raise ResyncRequired

    def item(self, item: str) -> Item | None:
        """An item, with the URL of its content."""
        return self._get(f"{self._root}/items/{quote(item)}")

    def child(self, folder: str, name: str) -> Item | None:
        """The item with this name in a folder."""
        return self._get(f"{self._root}/items/{quote(folder)}:/{quote(name, safe='')}")

    def subfolder(self, folder: str, name: str) -> str:
        """The id of a folder in a folder, which is created if it is missing."""
        found = self.child(folder, name)
        if found is None:
            made = {"name": name, "folder": {}, "@microsoft.graph.conflictBehavior": "fail"}
            answer = self._call("POST", f"items/{quote(folder)}/children", (_CONFLICT,), json=made)
            found = answer.document if answer.status != _CONFLICT else self.child(folder, name)
        if not isinstance(found, dict) or "folder" not in found:
            raise ConfigurationError(
                "a file has the name of a folder that `watch` needs",
                where=f"{self._address} … {name}",
                next_step="Move or rename the file.",
            )
        return str(found["id"])

    def read(self, item: Item, start: int, size: int) -> bytes | None:
        """A part of an item's content; None if its URL is no longer valid, or it has none."""
        url = item.get("@microsoft.graph.downloadUrl")
        return self._client.content(str(url), start, size) if url else None

    def upload(self, folder: str, name: str, data: bytes) -> None:
        """Create or replace a file of at most ``MAX_UPLOAD`` bytes."""
        path = f"items/{quote(folder)}:/{quote(name, safe='')}:/content"
        kind = {"Content-Type": "application/octet-stream"}
        self._require_unlocked(self._call("PUT", path, (_LOCKED,), content=data, headers=kind), name)

    def move(self, item: str, version: str, folder: str, name: str) -> int:
        """Move an item whose cTag is ``version``.

        The status: 200; 404 or 412 if it is gone or changed; 409 if the name is taken.
        """
        target = {"parentReference": {"id": folder}, "name": name}
        handled = (_NOT_FOUND, _CONFLICT, _CHANGED, _LOCKED)
        match = {"If-Match": version}
        answer = self._call("PATCH", f"items/{quote(item)}", handled, json=target, headers=match)
        return self._require_unlocked(answer, name)

    def delete(self, item: str, version: str, name: str) -> int:
        """Move an item whose cTag is ``version`` to the recycle bin. The status, as of `move`."""
        handled = (_NOT_FOUND, _CHANGED, _LOCKED)
        answer = self._call("DELETE", f"items/{quote(item)}", handled, headers={"If-Match": version})
        return self._require_unlocked(answer, name)

    def _require_unlocked(self, answer: Answer, name: str) -> int:
        if answer.status == _LOCKED:
            raise WaitError(
                f"somebody has the file open or checked out (HTTP {_LOCKED}, {answer.code})",
                where=name,
                next_step="Close it, or check it in. It is tried again; nothing is lost.",
            )
        return answer.status

    def _call(self, method: str, path: str, handled: Sequence[int], **request: Any) -> Answer:
        try:
            return self._client.call(method, f"{self._root}/{path}", PERMISSION, handled, **request)
        except Forbidden:
            raise self._forbidden() from None

    def _get(self, path: str) -> Item | None:
        try:
            return self._client.single(path, PERMISSION)[0]
        except NotFound:
            return None
        except Forbidden:
            raise self._forbidden() from None

    def _pages(self, path: str) -> Iterator[Item]:
        try:
            for page in self._client.pages(path, PERMISSION):
                yield from page.items
        except Forbidden:
            raise self._forbidden() from None

    def _forbidden(self) -> Forbidden:
        return Forbidden(
            "this identity may not read and write the site (HTTP 403)",
            where=str(self._address),
            next_step=f"Grant it Microsoft Graph's {PERMISSION} with admin consent, and the role write on "
            "this site: docs/watch.md, section SharePoint and OneDrive, has the commands.",
        )
