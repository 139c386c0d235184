"""Emulates two calls of Microsoft Graph in one tenant: the list of security alerts and runHuntingQuery.

Promised, as Microsoft's pages describe it: the filter and the query options that the list supports, the
newest alerts first, pages by `@odata.nextLink`, the permission, words of evolvable enumerations only with the
header Prefer, the limit of requests with its 429, and errors in Graph's form.
Not promised, because nobody publishes it: what Insider Risk Management puts into an alert, the largest page,
what a next link contains, by which time "newest" goes, and anything that only a live tenant shows. It shares
no code with the client that it tests.
Sources: learn.microsoft.com/graph/api/security-list-alerts_v2, …/graph/throttling-limits,
…/graph/best-practices-concept#handling-future-members-in-evolvable-enumerations.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import formatdate
from functools import partial
from typing import Any
from urllib.parse import quote

from irmemulator.entra import Entra
from irmemulator.graph_errors import RefusedError
from irmemulator.http_messages import Reply, Request, json_reply
from irmemulator.routing import Route, unless_spoiled

from irmsentinel.emulators.collector_options import Options
from irmsentinel.emulators.hunting_tables import HuntingTables

RESOURCE = "https://graph.microsoft.com"
#: The names by which faults are set.
ENDPOINTS = ("alerts", "hunting")

_PATH = "/v1.0/security/alerts_v2"
_HUNTING = "/v1.0/security/runhuntingquery"
_OPTIONS = {"$count", "$filter", "$skip", "$top"}
_FILTERED = {
    "assignedTo", "classification", "createdDateTime", "determination", "lastUpdateDateTime", "serviceSource",
    "severity", "status",
}  # fmt: skip
_CONDITION = re.compile(r"(\w+) (eq|ne|gt|ge|lt|le) (?:'([^']*)'|([0-9T:.Z-]+))")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda one, other: one == other,
    "ne": lambda one, other: one != other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
}
#: Members that came after `unknownFutureValue`, by property.
_LATE = {
    "serviceSource": {"microsoftInsiderRiskManagement"},
    "detectionSource": {"microsoftInsiderRiskManagement"},
}


class GraphSecurity:
    """The alerts of one tenant, and what can be hunted. Safe between threads.

    ``hunting`` has the tables for hunting queries. ``newest_by`` orders the list (unpublished).
    ``after_page`` is called after each page, with its number.
    """

    def __init__(self, options: Options, entra: Entra) -> None:
        self.newest_by = "createdDateTime"
        self.after_page: Callable[[int], None] = lambda _number: None
        self.hunting = HuntingTables(options)
        self._options = options
        self._entra = entra
        #: Each alert as it is shown, and with its times as values that can be compared.
        self._alerts: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        #: The property that they are ordered by, and all of them, newest first; emptied by each change.
        self._ordered: tuple[str, list[tuple[dict[str, Any], dict[str, Any]]]] = ("", [])
        self._pages = 0
        self._request_times: dict[str, deque[float]] = {name: deque() for name in ENDPOINTS}
        self._lock = threading.RLock()

    def put(self, alert: Mapping[str, Any]) -> None:
        """Create an alert, or replace the one with its id."""
        times = {name: _moment(value) for name, value in alert.items() if value and name.endswith("DateTime")}
        with self._lock:
            self._alerts[alert["id"]] = (dict(alert), {**alert, **times})
            self._ordered = ("", [])

    def delete(self, name: str) -> None:
        """Delete an alert. Raises KeyError."""
        with self._lock:
            del self._alerts[name]
            self._ordered = ("", [])

    def route(self, request: Request) -> Route | None:
        """The endpoint for a request, or None if its path is another one."""
        known = {("GET", _PATH): "alerts", ("POST", _HUNTING): "hunting"}
        name = known.get((request.method, request.path.lower()))
        return Route(name, unless_spoiled(partial(self._answer, name))) if name else None

    def _answer(self, name: str, request: Request) -> Reply:
        options = self._options
        try:
            if name == "alerts":
                self._admit(request, name, options.graph_per_minute, allowed=options.may_read_alerts)
                reply = self._list(request)
            else:
                self._admit(request, name, options.hunting_per_minute, allowed=options.may_hunt)
                reply = json_reply(200, self.hunting.run(request.body or b""))
        except RefusedError as refused:
            reply = refused.reply
        return reply.with_headers(("Date", formatdate(self._options.now(), usegmt=True)))

    def _admit(self, request: Request, name: str, per_minute: int, *, allowed: bool) -> None:
        grant = self._entra.check(request.headers.get("authorization"))
        if grant is None or grant.resource != RESOURCE:
            raise RefusedError(401, "InvalidAuthenticationToken", "Lifetime validation failed.")
        if not allowed:
            raise RefusedError(403, "Forbidden", "Missing application permission.")
        with self._lock:
            now, recent = self._options.now(), self._request_times[name]
            while recent and recent[0] <= now - 60:
                recent.popleft()
            if len(recent) >= per_minute:
                wait = max(1, round(recent[0] + 60 - now))
                raise RefusedError(429, "TooManyRequests", "Too many requests.", ("Retry-After", str(wait)))
            recent.append(now)

    def _list(self, request: Request) -> Reply:
        if self._options.latency:
            time.sleep(self._options.latency)
        asked = request.parameters
        if unknown := asked.keys() - _OPTIONS:
            raise RefusedError(400, "BadRequest", f"The query option {min(unknown)} is not supported.")
        try:
            top, skip = int(asked.get("$top", self._options.page_size)), int(asked.get("$skip", 0))
            size = min(top, self._options.page_size)
        except ValueError:
            raise RefusedError(400, "BadRequest", "Invalid $top or $skip.") from None
        if top < 1 or skip < 0:
            raise RefusedError(400, "BadRequest", "Invalid $top or $skip.")
        wanted = _conditions(asked.get("$filter", ""))
        with self._lock:
            if self._ordered[0] != self.newest_by:
                newest = sorted(
                    self._alerts.values(),
                    key=lambda one: (one[1][self.newest_by], one[1]["id"]),
                    reverse=True,
                )
                self._ordered = (self.newest_by, newest)
            found = [one for one in self._ordered[1] if all(test(one[1]) for test in wanted)]
            self._pages += 1
            number = self._pages
        known = "include-unknown-enum-members" in request.headers.get("prefer", "")
        document: dict[str, Any] = {
            "@odata.context": f"{request.origin}/v1.0/$metadata#security/alerts_v2",
            "value": [_shown(one, known=known) for one, _ in found[skip : skip + size]],
        }
        if asked.get("$count") == "true":
            document["@odata.count"] = len(found)
        if skip + size < len(found):
            kept = "&".join(f"{name}={quote(asked[name])}" for name in ("$filter", "$top") if name in asked)
            document["@odata.nextLink"] = f"{request.origin}{_PATH}?{kept}&$skip={skip + size}"
        self.after_page(number)
        return json_reply(200, document)


def _conditions(text: str) -> list[Callable[[Mapping[str, Any]], bool]]:
    """The tests of a filter, of which all must hold."""
    found = []
    for part in text.split(" and ") if text else []:
        match = _CONDITION.fullmatch(part.strip())
        if match is None or match[1] not in _FILTERED:
            raise RefusedError(400, "BadRequest", "Invalid filter clause.")
        found.append(_condition(match[1], match[2], match[3], match[4]))
    return found


def _condition(name: str, operator: str, text: str | None, time_: str | None) -> Callable[..., bool]:
    is_time = name.endswith("DateTime")
    if is_time != (time_ is not None) or (not is_time and operator not in ("eq", "ne")):
        raise RefusedError(400, "BadRequest", "Invalid filter clause.")
    try:
        value = _moment(time_) if time_ is not None else text
    except ValueError:
        raise RefusedError(400, "BadRequest", "Invalid filter clause.") from None
    compare = _COMPARE[operator]

    return lambda alert: compare(alert.get(name), value)


def _shown(alert: Mapping[str, Any], *, known: bool) -> dict[str, Any]:
    """An alert as a client sees it that asked for all members of enumerations, or did not."""
    return {
        name: "unknownFutureValue" if not known and value in _LATE.get(name, ()) else value
        for name, value in alert.items()
    }


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment
