"""A local stand-in of what the collector talks to: Entra ID, the Management Activity API, Logs Ingestion.

Promised, as Microsoft's pages say it: subscriptions; the list of content with its windows, pages and both
names of the next page's header; content that expires; AF errors; throttling; uploads with gzip and the limit
of 1 MB, undeclared columns dropped, values cut at 64 KB, the rule's transformation run; faults on demand.
Not promised: whatever only a live tenant could tell. It shares no code with the client it is for.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import secrets
import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlencode

from irmsentinel.content.tables import Table
from irmsentinel.content.transforms import Transform
from irmsentinel.emulators import announcement as announced
from irmsentinel.emulators.loopback import Loopback, Request, Response
from irmsentinel.kql.engine import Engine
from irmsentinel.kql.result import cell

_TOKEN = re.compile(r"/([^/]+)/oauth2/v2\.0/token")
_DISCOVERY = re.compile(r"/([^/]+)/v2\.0/\.well-known/openid-configuration")
_FEED = re.compile(r"/api/v1(?:\.0)?/([^/]+)/activity/feed/(.+)")
_STREAM = re.compile(r"/dataCollectionRules/([^/]+)/streams/([^/]+)")
_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DAY = 86_400
_WEEK = 7 * _DAY
_MOST_UPLOAD = 1_000_000
_MOST_VALUE = 64 * 1024


@dataclass(frozen=True)
class Fault:
    """What happens instead of an answer: ``where`` is discovery, token, start, list,
    content, blob or upload.

    ``body`` as bytes is sent as it is; ``cut``: the connection ends; ``after``: only after it was done;
    ``when``: only a request with this in its query; ``times``: so often; ``drip``: seconds between two bytes.
    """

    where: str
    status: int = 500
    code: str = ""
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    after: bool = False
    when: str = ""
    times: int = 1
    drip: float = 0.0


@dataclass(frozen=True)
class Options:
    """Who is known, and how the API behaves. ``latency`` in seconds for each blob; ``now`` is its clock.

    ``run_kql``: False leaves the transformation out but for its TimeGenerated, for many small uploads.
    """

    tenant_id: str
    app_id: str
    rules: Mapping[str, Transform]
    page_size: int = 200
    next_page: str = "NextPageUri"
    latency: float = 0.0
    per_minute: int = 1_000_000
    run_kql: bool = True
    now: Callable[[], float] = time.time


@dataclass
class Blob:
    """A content blob. ``created`` in seconds since 1970; ``uri`` replaces its own address, for a test."""

    id: str
    created: float
    records: Any
    uri: str = ""


class CollectorServicesEmulator:
    """The running stand-in; a context manager. ``rows`` are the tables' rows, ``asked`` every request."""

    def __init__(self, options: Options, directory: Path, *, port: int = 0, subscribed: bool = True) -> None:
        self.options = options
        self.secret = secrets.token_urlsafe(24)
        self.directory = directory
        self.rows: dict[str, list[dict[str, Any]]] = {one.table.name: [] for one in options.rules.values()}
        self.uploads: list[int] = []
        self.asked: list[Request] = []
        self.most_at_once = 0
        self.publisher_seen: Counter[str] = Counter()
        self._blobs: dict[str, Blob] = {}
        self._faults: deque[Fault] = deque()
        self._subscribed = "enabled" if subscribed else ""
        self._tokens = {name: secrets.token_urlsafe(24) for name in ("management", "monitor")}
        self._begun: deque[float] = deque()
        self._now_running = 0
        self._lock = threading.RLock()
        self._server = Loopback(self._answer, directory, port=port)

    # -- what a test says ---------------------------------------------------------------

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def ca_file(self) -> Path:
        return self._server.ca_file

    def add(self, created: float, records: Any, *, id_: str = "", uri: str = "") -> Blob:
        """Make a blob available."""
        with self._lock:
            blob = Blob(id_ or f"{len(self._blobs)}${secrets.token_hex(8)}$audit", created, records, uri)
            self._blobs[blob.id] = blob
            return blob

    def fail(self, *faults: Fault) -> None:
        """These faults, in this order for their place."""
        with self._lock:
            self._faults.extend(one for fault in faults for one in [fault] * fault.times)

    def recover(self) -> None:
        """No fault any more."""
        with self._lock:
            self._faults.clear()

    def withdraw_token(self) -> None:
        """Every token that was given out is refused from now on."""
        with self._lock:
            self._tokens = {name: secrets.token_urlsafe(24) for name in self._tokens}

    def disable(self) -> None:
        """As if an administrator had disabled the subscription."""
        self._subscribed = "disabled"

    def count(self, what: str) -> int:
        """Requests whose path has ``what`` in it."""
        return sum(what in request.path for request in self.asked)

    def announce(self) -> None:
        """Write how it is reached, for `--emulator DIRECTORY`; only its owner may read it."""
        secret_file = self.directory / "secret"
        for path, text in (
            (secret_file, self.secret),
            (
                self.directory / announced.COLLECTOR,
                json.dumps(
                    {
                        "url": self.url,
                        "ca_file": str(self.ca_file.absolute()),
                        "secret_file": str(secret_file.absolute()),
                        "tenant_id": self.options.tenant_id,
                        "app_id": self.options.app_id,
                        "rules": {one.table.name: rule for rule, one in self.options.rules.items()},
                    }
                ),
            ),
        ):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with os.fdopen(os.open(path, flags, 0o600), "w") as file:
                file.write(text)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.__exit__(*exc)

    # -- requests -----------------------------------------------------------------------

    def _answer(self, request: Request) -> Response:
        with self._lock:
            self.asked.append(request)
        if match := _DISCOVERY.fullmatch(request.path):
            root = f"{request.origin}/{match[1]}"
            return self._faulty("discovery", request, lambda: _discovery(root))
        if match := _TOKEN.fullmatch(request.path):
            tenant = match[1]
            return self._faulty("token", request, lambda: self._token(tenant, request.body))
        if match := _STREAM.fullmatch(request.path):
            rule, stream = match[1], match[2]
            return self._faulty("upload", request, lambda: self._upload(rule, stream, request))
        if match := _FEED.fullmatch(request.path):
            return self._feed(match[1], match[2], request)
        return Response(404, {"error": {"code": "NotFound", "message": "The path does not exist"}})

    def _faulty(self, where: str, request: Request, act: Callable[[], Response]) -> Response:
        asked = urlencode(request.query)
        with self._lock:
            fault = next((one for one in self._faults if one.where == where and one.when in asked), None)
            if fault is not None:
                self._faults.remove(fault)
        if fault is None:
            return act()
        if fault.after:
            act()
        if fault.body is not None:
            return Response(fault.status, fault.body, fault.headers, drip=fault.drip)
        document = {"error": {"code": fault.code, "message": "on demand"}} if fault.code else {}
        return Response(fault.status, document, fault.headers, cut=fault.cut)

    def _token(self, tenant: str, body: bytes) -> Response:
        form = {name: values[0] for name, values in parse_qs(body.decode("ascii", "replace")).items()}
        known = (self.options.tenant_id, self.options.app_id, self.secret)
        if (tenant, form.get("client_id"), form.get("client_secret")) != known:
            said = "AADSTS7000215: Invalid client secret provided."
            return Response(401, {"error": "invalid_client", "error_description": said})
        kind = "monitor" if "monitor.azure" in form.get("scope", "") else "management"
        return Response(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": self._tokens[kind]})

    # -- the Management Activity API ----------------------------------------------------

    def _feed(self, tenant: str, path: str, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self._tokens['management']}":
            return Response(401, {"Message": "Authorization has been denied for this request."})
        if tenant != self.options.tenant_id:
            return _af("AF20010")
        publisher = request.query.get("PublisherIdentifier", "")
        self.publisher_seen[publisher] += 1
        if publisher and not _GUID.fullmatch(publisher):
            return _af("AF20002")
        if self._too_many():
            # The status is 403 in the field as often as 429; the code says it.
            return Response(403, _af("AF429").document)
        where, _, blob = path.partition("/")
        if where == "audit":
            return self._faulty("blob", request, lambda: self._content(blob))
        routes = {
            "subscriptions/start": ("start", self._start),
            "subscriptions/stop": ("start", self._stop),
            "subscriptions/list": ("list", self._subscriptions),
            "subscriptions/content": ("content", self._list),
        }
        if path not in routes:
            return _af("AF20050", 404)
        name, act = routes[path]
        return self._faulty(name, request, lambda: act(request))

    def _too_many(self) -> bool:
        now = time.monotonic()
        with self._lock:
            while self._begun and self._begun[0] <= now - 60:
                self._begun.popleft()
            self._begun.append(now)
            return len(self._begun) > self.options.per_minute

    def _start(self, request: Request) -> Response:
        if request.query.get("contentType") != "Audit.General":
            return _af("AF20020")
        if self._subscribed == "enabled":
            return _af("AF20024")
        self._subscribed = "enabled"
        return Response(200, {"contentType": "Audit.General", "status": "enabled", "webhook": None})

    def _stop(self, request: Request) -> Response:
        if not self._subscribed:
            return _af("AF20022")
        self._subscribed = ""
        return Response(200, b"")

    def _subscriptions(self, request: Request) -> Response:
        one = {"contentType": "Audit.General", "status": self._subscribed, "webhook": None}
        date = {"Date": formatdate(self.options.now(), usegmt=True)}
        return Response(200, [one] if self._subscribed else [], date)

    def _list(self, request: Request) -> Response:
        if self._subscribed != "enabled":
            return _af("AF20023" if self._subscribed else "AF20022")
        query, now = dict(request.query), self.options.now()
        texts = [query.get("startTime"), query.get("endTime")]
        if not any(texts):
            start, end = now - _DAY, now
        else:
            if not all(text and _TIME.fullmatch(text) for text in texts):
                return _af("AF20030" if not all(texts) else "AF20002")
            start, end = (datetime.fromisoformat(str(text)).replace(tzinfo=UTC).timestamp() for text in texts)
            if end - start > _DAY or start < now - _WEEK:
                return _af("AF20030")
        found = sorted(
            (b for b in self._snapshot() if start <= b.created < end and b.created + _WEEK > now),
            key=lambda blob: (blob.created, blob.id),
        )
        first = int(query.pop("nextPage", "0"))
        page = found[first : first + self.options.page_size]
        headers = {}
        if first + self.options.page_size < len(found):
            query["nextPage"] = str(first + self.options.page_size)
            headers[self.options.next_page] = f"{request.origin}{request.path}?{urlencode(query)}"
        return Response(200, [self._entry(blob, request.origin) for blob in page], headers)

    def _snapshot(self) -> list[Blob]:
        with self._lock:
            return list(self._blobs.values())

    def _entry(self, blob: Blob, origin: str) -> dict[str, str]:
        own = f"{origin}/api/v1.0/{self.options.tenant_id}/activity/feed/audit/{blob.id}"
        return {
            "contentType": "Audit.General",
            "contentId": blob.id,
            "contentUri": blob.uri or own,
            "contentCreated": _iso(blob.created),
            "contentExpiration": _iso(blob.created + _WEEK),
        }

    def _content(self, name: str) -> Response:
        with self._lock:
            self._now_running += 1
            self.most_at_once = max(self.most_at_once, self._now_running)
        try:
            if self.options.latency:
                time.sleep(self.options.latency)
            blob = self._blobs.get(name)
            if blob is None:
                return _af("AF20050", 404)
            if blob.created + _WEEK <= self.options.now():
                return _af("AF20051")
            return Response(200, blob.records)
        finally:
            with self._lock:
                self._now_running -= 1

    # -- Logs Ingestion -----------------------------------------------------------------

    def _upload(self, rule: str, stream: str, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self._tokens['monitor']}":
            return _azure(401, "InvalidToken", "The token is not for this service")
        if rule not in self.options.rules:
            return _azure(404, "NotFound", f"Data collection rule with immutable Id '{rule}' not found.")
        transform = self.options.rules[rule]
        if stream != transform.stream:
            return _azure(400, "InvalidStream", f"Stream {stream} is not configured in the rule.")
        body = request.body
        if request.headers.get("content-encoding") == "gzip":
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError, zlib.error):
                return _azure(400, "InvalidRequestPayload", "The body is no gzip.")
        if max(len(request.body), len(body)) > _MOST_UPLOAD:
            return _azure(413, "ContentLengthLimitExceeded", "Maximum allowed content length: 1 MB.")
        try:
            rows = json.loads(body)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise ValueError  # noqa: TRY301 - one answer for all that is wrong
        except ValueError:
            return _azure(400, "InvalidRequestPayload", "The body must be a JSON array of objects.")
        with self._lock:
            kept = self._transformed(transform, rows)
            self.rows[transform.table.name].extend(kept)
            self.uploads.append(len(body))
            with (self._tables / f"{transform.table.name}.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(f"{json.dumps(row)}\n" for row in kept)
        return Response(204, None, {"x-ms-request-id": secrets.token_hex(8)})

    @property
    def _tables(self) -> Path:
        """The folder that has the tables' rows, for `irmexport sentinel query --local`."""
        folder = self.directory / "tables"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _transformed(self, transform: Transform, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The rows as the table gets them: declared columns alone, values cut, the rule's KQL run."""
        names = {column.name for column in transform.columns}
        source = [{n: _cut(v) for n, v in row.items() if n in names} for row in rows]
        if not source:
            return []
        if not self.options.run_kql:
            return [{"TimeGenerated": _iso(self.options.now()), **row} for row in source]
        with Engine() as engine:
            engine.insert(Table("source", "", transform.columns), source)
            result = engine.run(transform.kql, now=datetime.fromtimestamp(self.options.now(), UTC))
        kept = []
        for values in result.rows:
            pairs = zip(result.columns, values, strict=True)
            row = {column.name: _stored(cell(value, column.type), column.type) for column, value in pairs}
            kept.append({name: value for name, value in row.items() if value not in (None, "")})
        return kept


def _discovery(root: str) -> Response:
    ends = {"authorization_endpoint": "authorize", "token_endpoint": "token"}
    pairs = {name: f"{root}/oauth2/v2.0/{end}" for name, end in ends.items()}
    return Response(200, {"issuer": f"{root}/v2.0", **pairs})


def _stored(value: Any, kind: str) -> Any:
    return json.loads(value) if kind == "dynamic" and isinstance(value, str) and value else value


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value.encode()) > _MOST_VALUE:
        return value.encode()[:_MOST_VALUE].decode("utf-8", "ignore")
    return value


def _af(code: str, status: int = 400) -> Response:
    return Response(status, {"error": {"code": code, "message": "as the reference has it"}})


def _azure(status: int, code: str, message: str) -> Response:
    return Response(status, {"error": {"code": code, "message": message}})


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
