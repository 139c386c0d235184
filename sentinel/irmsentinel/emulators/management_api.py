"""Emulates the Office 365 Management Activity API: subscriptions, the list of content, and the content.

Promised, as Microsoft's reference describes it: the list's windows and pages, both names of the next page's
header, content that expires after 7 days, AF error codes, and throttling.
Not promised: anything that only a live tenant shows. It shares no code with the client that it tests.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import urlencode

from irmemulator.entra import Entra
from irmemulator.http_messages import Headers, Reply, Request, json_reply
from irmemulator.routing import Route, unless_spoiled

from irmsentinel.emulators.azure_errors import JSON, azure_error
from irmsentinel.emulators.collector_options import Options

RESOURCE = "https://manage.office.com"
#: The names by which faults are set. `start` also means stop.
ENDPOINTS = ("start", "list", "content", "blob")

_FEED = re.compile(r"/api/v1(?:\.0)?/([^/]+)/activity/feed/(.+)")
_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DAY = 86_400
_WEEK = 7 * _DAY
_LONGEST_BODY = 1024 * 1024


@dataclass
class Blob:
    """A content blob. ``created`` in seconds since 1970.

    For a test, ``uri`` replaces its own address, and ``error`` is the AF code that it always answers with.
    """

    id: str
    created: float
    records: Any
    uri: str = ""
    error: str = ""


class ManagementApi:
    """One tenant's activity feed. Safe between threads."""

    def __init__(self, options: Options, entra: Entra, *, subscribed: bool) -> None:
        """``subscribed``: the subscription to Audit.General was started before."""
        self.most_at_once = 0
        self.publishers: Counter[str] = Counter()
        self._options = options
        self._entra = entra
        self._blobs: dict[str, Blob] = {}
        self._subscription = "enabled" if subscribed else ""
        self._request_times: deque[float] = deque()
        self._running = 0
        self._lock = threading.RLock()

    def add(self, created: float, records: Any, *, id_: str = "", uri: str = "", error: str = "") -> Blob:
        """Make a blob available: records, or bytes to send as they are."""
        with self._lock:
            blob = Blob(
                id_ or f"{len(self._blobs)}${secrets.token_hex(8)}$audit", created, records, uri, error
            )
            self._blobs[blob.id] = blob
            return blob

    def entries(self, origin: str) -> list[dict[str, str]]:
        """The entry of each blob in a list, in the order of their addition."""
        with self._lock:
            return [self._entry(blob, origin) for blob in self._blobs.values()]

    def disable(self) -> None:
        """Disable the subscription, as an administrator can."""
        self._subscription = "disabled"

    def route(self, request: Request) -> Route | Reply | None:
        """The endpoint for a request, or None if its path is not one of the API's."""
        match = _FEED.fullmatch(request.path)
        if match is None:
            return None
        tenant, path = match.groups()
        return self._refuse(tenant, request) or self._endpoint(path)

    def _refuse(self, tenant: str, request: Request) -> Reply | None:
        grant = self._entra.check(request.headers.get("authorization"))
        if grant is None or grant.resource != RESOURCE:
            return json_reply(401, {"Message": "Authorization has been denied for this request."})
        if tenant != self._options.tenant_id:
            return _af("AF20010")
        publisher = request.parameters.get("PublisherIdentifier", "")
        with self._lock:
            self.publishers[publisher] += 1
        if publisher and not _GUID.fullmatch(publisher):
            return _af("AF20002")
        if self._is_throttled():
            # In practice the status is 403 as often as 429; only the code is reliable.
            return _af("AF429", 403)
        return None

    def _endpoint(self, path: str) -> Route | Reply:
        where, _, blob = path.partition("/")
        if where == "audit":
            return Route("blob", unless_spoiled(lambda _: self._content(blob)), _LONGEST_BODY)
        endpoints = {
            "subscriptions/start": ("start", self._start),
            "subscriptions/stop": ("start", self._stop),
            "subscriptions/list": ("list", self._subscriptions),
            "subscriptions/content": ("content", self._list),
        }
        if path not in endpoints:
            return _af("AF20050", 404)
        name, act = endpoints[path]
        return Route(name, unless_spoiled(act), _LONGEST_BODY)

    def _is_throttled(self) -> bool:
        now = time.monotonic()
        with self._lock:
            while self._request_times and self._request_times[0] <= now - 60:
                self._request_times.popleft()
            self._request_times.append(now)
            return len(self._request_times) > self._options.per_minute

    def _start(self, request: Request) -> Reply:
        if request.parameters.get("contentType") != "Audit.General":
            return _af("AF20020")
        if self._subscription == "enabled":
            return _af("AF20024")
        self._subscription = "enabled"
        return json_reply(200, {"contentType": "Audit.General", "status": "enabled", "webhook": None})

    def _stop(self, _request: Request) -> Reply:
        if not self._subscription:
            return _af("AF20022")
        self._subscription = ""
        return Reply(200)

    def _subscriptions(self, _request: Request) -> Reply:
        one = {"contentType": "Audit.General", "status": self._subscription, "webhook": None}
        date = ("Date", formatdate(self._options.now(), usegmt=True))
        return json_reply(200, [one] if self._subscription else [], date)

    def _list(self, request: Request) -> Reply:
        if self._subscription != "enabled":
            return _af("AF20023" if self._subscription else "AF20022")
        query, now = request.parameters, self._options.now()
        texts = [query.get("startTime"), query.get("endTime")]
        if not any(texts):
            start, end = now - _DAY, now
        else:
            if not all(text and _TIME.fullmatch(text) for text in texts):
                return _af("AF20030" if not all(texts) else "AF20002")
            start, end = (datetime.fromisoformat(str(text)).replace(tzinfo=UTC).timestamp() for text in texts)
            if end - start > _DAY or start < now - _WEEK:
                return _af("AF20030")
        with self._lock:
            blobs = list(self._blobs.values())
        found = sorted(
            (blob for blob in blobs if start <= blob.created < end and blob.created + _WEEK > now),
            key=lambda blob: (blob.created, blob.id),
        )
        first = int(query.pop("nextPage", "0"))
        page = found[first : first + self._options.page_size]
        headers: Headers = ()
        if first + self._options.page_size < len(found):
            query["nextPage"] = str(first + self._options.page_size)
            headers = ((self._options.next_page, f"{request.origin}{request.path}?{urlencode(query)}"),)
        return json_reply(200, [self._entry(blob, request.origin) for blob in page], *headers)

    def _entry(self, blob: Blob, origin: str) -> dict[str, str]:
        own = f"{origin}/api/v1.0/{self._options.tenant_id}/activity/feed/audit/{blob.id}"
        return {
            "contentType": "Audit.General",
            "contentId": blob.id,
            "contentUri": blob.uri or own,
            "contentCreated": iso(blob.created),
            "contentExpiration": iso(blob.created + _WEEK),
        }

    def _content(self, name: str) -> Reply:
        with self._lock:
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        try:
            return self._blob(name)
        finally:
            with self._lock:
                self._running -= 1

    def _blob(self, name: str) -> Reply:
        if self._options.latency:
            time.sleep(self._options.latency)
        blob = self._blobs.get(name)
        if blob is None:
            return _af("AF20050", 404)
        if blob.created + _WEEK <= self._options.now():
            return _af("AF20051")
        if blob.error:
            return _af(blob.error)
        raw = blob.records if isinstance(blob.records, bytes) else json.dumps(blob.records).encode()
        return Reply(200, (("Content-Type", JSON),), raw)


def iso(seconds: float) -> str:
    """Seconds since 1970 as the API writes a time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _af(code: str, status: int = 400) -> Reply:
    return azure_error(status, code, "see the API's reference")
