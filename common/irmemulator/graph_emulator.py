"""Emulates the calls of Microsoft Graph that read people: users, users/delta, one user, deleted users, a
group's members. `drive_service` has those of a drive.

Promised, as Microsoft's pages describe it: `$select` (and only a selected property's change counts), no
`$top`, `$expand` or `$orderby` with delta and `$filter` by id only, opaque tokens that keep the query, 7 days
for a delta token, 410 with Location after a reset, replays, `@removed` with its reason, Retry-After with a
429, application permissions, and errors in Graph's form.
Not promised: the size of a page, the code of a refused option and the wording of errors (all undocumented),
other properties or calls, or `Prefer: return=minimal`.
Sources: learn.microsoft.com/graph/delta-query-overview, …/api/user-delta, …/api/directory-deleteditems-list,
…/api/group-list-transitivemembers, …/throttling.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote

from irmemulator.announced_server import AnnouncedServer
from irmemulator.drive_service import SITES, DriveOptions, DriveService
from irmemulator.faults import Fault
from irmemulator.graph_drive import GraphDrive
from irmemulator.graph_errors import RefusedError, graph_error
from irmemulator.graph_tenant import PROPERTIES, GraphTenant
from irmemulator.http_messages import Reply, Request, json_reply, method_not_allowed
from irmemulator.routing import Answer, Route, unless_spoiled
from irmemulator.settings import is_guid

RESOURCE = "https://graph.microsoft.com"
ENDPOINTS = ("delta", "users", "user", "deleted", "members", "drive", "download")
USERS, MEMBERS = "User.Read.All", "GroupMember.Read.All"
#: learn.microsoft.com/graph/api/user-get: needed besides User.Read.All to read employeeLeaveDateTime.
LEAVE_DATES = "User-LifeCycleInfo.Read.All"

_DELTA = re.compile(r"/v1\.0/users/(?:microsoft\.graph\.)?delta(?:\(\))?/?")
_USERS = re.compile(r"/v1\.0/users/?")
_USER = re.compile(r"/v1\.0/users/([0-9a-fA-F-]{36})")
_DELETED = re.compile(r"/v1\.0/directory/deleted[iI]tems/microsoft\.graph\.user")
_MEMBERS = re.compile(r"/v1\.0/groups/([^/]+)/transitive[mM]embers")
_BY_ID = re.compile(r"id eq '([0-9a-fA-F-]{36})'")
_DEFAULT_SELECT = (
    "businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone", "officeLocation",
    "preferredLanguage", "surname", "userPrincipalName", "id",
)  # fmt: skip
_MOST_FILTERED = 50
_TOKEN_S = 7 * 86_400.0
_WINDOW_S = 10.0
_DEFAULT_TOP, _MOST_TOP = 100, 999


@dataclass(frozen=True)
class GraphOptions:
    """The application that may sign in, and how the service behaves.

    ``page_size`` is that of a delta query (undocumented). ``changes_only``: a changed user comes with the
    changed properties only; Microsoft's pages differ: "the same properties as initially selected", and "at
    least the properties that have been updated". Every ``replay_every``-th user is repeated on the next page;
    0: none. More than ``per_10_seconds`` requests in ten seconds get a 429.
    """

    tenant_id: str
    app_id: str
    permissions: Collection[str] = (USERS, MEMBERS, SITES, LEAVE_DATES)
    page_size: int = 200
    changes_only: bool = False
    replay_every: int = 0
    per_10_seconds: int | None = None
    token_lifetime: float = 3_599


@dataclass(frozen=True)
class _State:
    """What a token stands for: a place in a round of a delta query, or (``ids`` is None) the next round."""

    select: tuple[str, ...]
    only: frozenset[str]
    sequence: int
    issued: float
    ids: tuple[str, ...] | None = None
    position: int = 0
    since: int = 0


class GraphEmulator(AnnouncedServer):
    """The calls of one tenant. Safe between threads.

    ``requests`` has those to Graph, in order, not those for tokens; ``drive_options`` may be changed.
    """

    announcement = "graph.json"

    def __init__(self, tenant: GraphTenant, options: GraphOptions, directory: Path, **more: Any) -> None:
        """Changes of the tenant take effect at once; ``more`` as `AnnouncedServer`."""
        self.tenant, self.options = tenant, options
        self.requests: list[Request] = []
        self.drive, self.drive_options = GraphDrive(), DriveOptions()
        self._drive_service = DriveService(self.drive, self.drive_options)
        self._tokens: dict[str, _State] = {}
        self._recent: list[float] = []
        self._lock = threading.Lock()
        super().__init__(
            (options.tenant_id, options.app_id),
            ENDPOINTS,
            directory,
            resources=(RESOURCE,),
            token_lifetime=options.token_lifetime,
            **more,
        )

    @property
    def downloads(self) -> list[Request]:
        """Every request for a file's content so far, in order."""
        return self._drive_service.downloads

    def route(self, request: Request) -> Route | Reply:
        """The endpoint for a request."""
        if (download := self._drive_service.download(request)) is not None:
            return Route("download", unless_spoiled(download), matched_text=_line)
        if (on_drive := self._drive_service.find(request)) is not None:
            return Route("drive", self._answer(SITES, on_drive), matched_text=_line)
        if _DELTA.fullmatch(request.path):
            endpoint, permission, answer = "delta", USERS, self._delta
        elif _USERS.fullmatch(request.path):
            endpoint, permission, answer = "users", USERS, self._users
        elif _USER.fullmatch(request.path):
            endpoint, permission, answer = "user", USERS, self._user
        elif _DELETED.fullmatch(request.path):
            endpoint, permission, answer = "deleted", USERS, self._deleted
        elif _MEMBERS.fullmatch(request.path):
            endpoint, permission, answer = "members", MEMBERS, self._members
        else:
            found = self.entra.route(request)
            return found or json_reply(404, graph_error("ResourceNotFound", "Resource not found."))
        if request.method != "GET":
            return method_not_allowed("GET")
        return Route(endpoint, self._answer(permission, answer))

    def _answer(self, permission: str, answer: Callable[[Request], Reply]) -> Answer:
        """Answer admitted requests, and record all."""

        def act(whole: Request) -> Reply:
            try:
                self._admit(whole, permission)
                reply = answer(whole)
            except RefusedError as refused:
                reply = refused.reply
            return reply.with_headers(("Date", formatdate(self.tenant.now(), usegmt=True)))

        run = unless_spoiled(act)

        def answer_recorded(whole: Request, fault: Fault | None) -> Reply:
            with self._lock:
                self.requests.append(whole)
            return run(whole, fault)

        return answer_recorded

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """An error in Graph's form."""
        return json_reply(status, graph_error(code, message))

    def reset_delta(self) -> None:
        """Let all delta tokens get a 410, as after a migration of the tenant."""
        with self._lock:
            self._tokens = {token: replace(state, sequence=-1) for token, state in self._tokens.items()}
        self._drive_service.reset()

    def _admit(self, request: Request, permission: str) -> None:
        if self.entra.check(request.headers.get("authorization")) is None:
            raise RefusedError(
                401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid."
            )
        if permission not in self.options.permissions:
            raise RefusedError(
                403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
            )
        most = self.options.per_10_seconds
        if most is None:
            return
        with self._lock:
            now = time.monotonic()
            self._recent = [at for at in self._recent if now - at < _WINDOW_S]
            if len(self._recent) >= most:
                wait = max(1, round(_WINDOW_S - (now - self._recent[0])))
                raise RefusedError(429, "TooManyRequests", "Please retry after", ("Retry-After", str(wait)))
            self._recent.append(now)

    def _delta(self, request: Request) -> Reply:
        """A page of a delta query."""
        asked = _asked(request)
        for name in ("$top", "$expand", "$orderby", "$search", "$count"):
            if name in asked:
                raise RefusedError(
                    400, "Request_UnsupportedQuery", f"{name} is not supported with delta for users."
                )
        token = asked.get("$skiptoken") or asked.get("$deltatoken")
        latest = token == "latest"  # noqa: S105 - a word of the interface
        if token and not latest:
            state = self._state(token, request.origin)
        else:
            state = _State(_select(asked), _filter(asked.get("$filter", "")), 0, self.tenant.now())
        if state.ids is None:  # a round begins
            sequence = self.tenant.sequence
            select = frozenset(state.select)
            ids = () if latest else self.tenant.changed_since(state.sequence, select, state.only)
            state = replace(state, ids=ids, since=state.sequence, sequence=sequence, position=0)
        return self._page(state, request.origin)

    def _page(self, state: _State, origin: str) -> Reply:
        ids, size = state.ids or (), self.options.page_size
        begin, end = state.position, state.position + size
        again = ids[begin - size : begin : self.options.replay_every] if self.options.replay_every else ()
        value = [self._item(name, state) for name in (*ids[begin:end], *again)]
        document: dict[str, Any] = {"@odata.context": f"{origin}/v1.0/$metadata#users", "value": value}
        if end < len(ids):
            link, name, after = "@odata.nextLink", "$skiptoken", replace(state, position=end)
        else:
            link, name = "@odata.deltaLink", "$deltatoken"
            after = replace(state, ids=None, position=0, issued=self.tenant.now())
        document[link] = f"{origin}/v1.0/users/delta?{name}={self._issue(after)}"
        return json_reply(200, document)

    def _item(self, name: str, state: _State) -> dict[str, Any]:
        user, gone = self.tenant.get(name)
        if gone:
            return {"id": name, "@removed": {"reason": gone}}
        select = frozenset(state.select)
        if self.options.changes_only and state.since:
            select = self.tenant.changed_properties(name, state.since) or select
        return {key: user[key] for key in state.select if key in user and (key in select or key == "id")}

    def _user(self, request: Request) -> Reply:
        """One user."""
        match = _USER.fullmatch(request.path)
        try:
            user, gone = self.tenant.get(match[1].lower() if match else "")
        except KeyError:
            gone = "deleted"
        if gone:
            raise RefusedError(404, "Request_ResourceNotFound", "Resource does not exist.")
        select = _select(_asked(request))
        return json_reply(200, {key: user[key] for key in select if key in user})

    def _issue(self, state: _State) -> str:
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = state
        return token

    def _state(self, token: str, origin: str) -> _State:
        with self._lock:
            state = self._tokens.get(token)
        if state is None or self.tenant.now() - state.issued > _TOKEN_S:
            raise RefusedError(
                400,
                "syncStateNotFound",
                "The sync state generation is not found. The delta token is expired and data must be "
                "synchronized again.",
            )
        if state.sequence < 0:
            start = f"{origin}/v1.0/users/delta?$deltatoken="
            raise RefusedError(410, "syncStateInvalid", "Start a full synchronization.", ("Location", start))
        return state

    def _users(self, request: Request) -> Reply:
        """A page of all users."""
        asked = _asked(request)
        select = _select(asked)
        if "employeeLeaveDateTime" in select and LEAVE_DATES not in self.options.permissions:
            raise RefusedError(
                403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
            )
        ids = self.tenant.changed_since(0, frozenset(), frozenset())
        users = [self.tenant.get(name)[0] for name in ids]
        return self._list(request, asked, [{key: user.get(key) for key in select} for user in users])

    def _deleted(self, request: Request) -> Reply:
        """A page of the deleted users."""
        asked = _asked(request)
        select = _select(asked)
        users = [{key: user[key] for key in select if key in user} for user in self.tenant.deleted()]
        return self._list(request, asked, users)

    def _members(self, request: Request) -> Reply:
        """A page of a group's transitive members."""
        match = _MEMBERS.fullmatch(request.path)
        name = match[1].lower() if match else ""
        members = self.tenant.members(name) if is_guid(name) else None
        if members is None:
            raise RefusedError(404, "Request_ResourceNotFound", f"Resource '{quote(name)}' does not exist.")
        asked = _asked(request)
        items = [{"@odata.type": f"#microsoft.graph.{kind}", "id": member} for member, kind in members]
        return self._list(request, asked, items)

    def _list(self, request: Request, asked: Mapping[str, str], items: list[dict[str, Any]]) -> Reply:
        try:
            top, skip = int(asked.get("$top", _DEFAULT_TOP)), int(asked.get("$skiptoken", 0))
        except ValueError:
            raise RefusedError(400, "BadRequest", "Invalid $top or $skiptoken.") from None
        if not 0 < top <= _MOST_TOP:
            raise RefusedError(400, "Request_UnsupportedQuery", f"Invalid page size: at most {_MOST_TOP}.")
        document: dict[str, Any] = {"value": items[skip : skip + top]}
        if skip + top < len(items):
            kept = "".join(f"{name}={quote(asked[name])}&" for name in ("$select", "$top") if name in asked)
            document["@odata.nextLink"] = f"{request.origin}{request.path}?{kept}$skiptoken={skip + top}"
        return json_reply(200, document)


def _line(request: Request) -> str:
    """What a fault for a drive's calls is matched with: the request's line."""
    return f"{request.method} {request.path}?{request.query}"


def _asked(request: Request) -> dict[str, str]:
    """The parameters of a request; their names are not case-sensitive."""
    return {name.lower(): value for name, value in request.parameters.items()}


def _select(asked: Mapping[str, str]) -> tuple[str, ...]:
    """The selected properties, `id` always among them."""
    if not asked.get("$select"):
        return _DEFAULT_SELECT
    names = [name.strip() for name in asked["$select"].split(",")]
    for name in names:
        if name not in PROPERTIES:
            raise RefusedError(
                400,
                "BadRequest",
                f"Could not find a property named '{name[:80]}' on type 'microsoft.graph.user'.",
            )
    return tuple(dict.fromkeys([*names, "id"]))


def _filter(text: str) -> frozenset[str]:
    """The ids of a filter; it may only say `id eq '…'`, joined by `or`."""
    parts = [part.strip() for part in text.split(" or ")] if text.strip() else []
    found = [_BY_ID.fullmatch(part) for part in parts]
    if not all(found) or len(found) > _MOST_FILTERED:
        raise RefusedError(400, "Request_UnsupportedQuery", "Unsupported Query.")
    return frozenset(match[1].lower() for match in found if match)
