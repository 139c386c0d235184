"""A local stand-in of the Log Analytics query API, for Microsoft's own client to talk to. Loopback only.

Promised, as Azure does it: the token endpoint, ``POST /v1/workspaces/{id}/query``, the timespan applied
to every table, dynamic values as text, NaN as "NaN", errors in Azure's nested form, a partial result
with HTTP 200 where the row limit is passed; over TLS with a throw-away CA. On demand: 429 with Retry-After,
504, 403, and tokens that are no longer taken.
Not promised: anything a live workspace was needed to find out, the engine's subset aside (docs/kql.md).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from irmcore.errors import DataError

from irmsentinel.emulators.loopback import Served, write
from irmsentinel.kql.engine import Engine
from irmsentinel.kql.result import Result, cell

_QUERY = re.compile(r"/(?:v1/)?workspaces/([^/]+)/query")
_TOKEN = re.compile(r"/([^/]+)/oauth2/v2\.0/token")
_DISCOVERY = re.compile(r"/([^/]+)/v2\.0/\.well-known/openid-configuration")
_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_AT = re.compile(r" at (\d+):(\d+)")
_CODES = {403: "InsufficientAccessError", 429: "TooManyRequests", 504: "GatewayTimeout"}
_MOST_BYTES = 1_000_000
_DIGITS = 10
_HANG_S = 30


#: Status, document (or bytes as they are) and headers; seconds between two bytes.
Answer = tuple[int, Mapping[str, Any] | bytes, Mapping[str, str], float]


@dataclass(frozen=True)
class Options:
    """What the stand-in knows: a workspace, an application, its clock, its limit."""

    workspace_id: str
    now: datetime
    tenant_id: str = "contoso"
    app_id: str = "irmexport"
    max_rows: int = 500_000


@dataclass(frozen=True)
class Fault:
    """What the stand-in answers in place of a result, to the queries whose text matches ``of``.

    ``code`` is Azure's innermost one; ``times``: so often; 0: always. ``on`` is query, token or discovery;
    ``body`` is sent as it is, ``drip`` seconds between two bytes; ``location`` is where a redirect leads.
    """

    status: int
    code: str = ""
    retry_after: str = ""
    of: str = ""
    times: int = 1
    on: str = "query"
    body: bytes | None = None
    location: str = ""
    drip: float = 0.0

    def answer(self) -> Answer:
        """What goes out."""
        headers = {"Retry-After": self.retry_after, "Location": self.location}
        given = {name: value for name, value in headers.items() if value}
        inner = {"code": self.code, "message": "as asked for"} if self.code else None
        document = error(_CODES.get(self.status, "Error"), "as asked for", inner)
        return self.status, document if self.body is None else self.body, given, self.drip


class QueryApiEmulator(Served):
    """The running stand-in; a context manager."""

    def __init__(self, engine: Engine, options: Options, directory: Path, *, port: int = 0) -> None:
        """`directory` gets the CA; the made-up secret is `secret`."""
        self.secret = secrets.token_urlsafe(24)
        self.options = options
        self._state = _State(engine, options, self.secret)
        super().__init__(type("Handler", (_Handler,), {"state": self._state}), directory, port=port)

    @property
    def queries(self) -> list[str]:
        """The queries that were asked, whatever was answered, in their order."""
        return list(self._state.queries)

    def fail(self, *faults: Fault) -> None:
        """Answer so from now on, in this order; in place of what was still to come."""
        self._state.faults = list(faults)

    def expire(self) -> None:
        """Take no token any more that was given out before."""
        self._state.expire()

    def announce(self, directory: Path) -> None:
        """Write how it is reached, for `--emulator DIRECTORY`; only its owner may read it."""
        description = {
            "url": self.url,
            "ca_file": str(self.ca_file.absolute()),
            "workspace_id": self.options.workspace_id,
            "tenant_id": self.options.tenant_id,
            "app_id": self.options.app_id,
            "secret": self.secret,
            "now": self.options.now.isoformat(),
        }
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(directory / "api.json", flags, 0o600), "w") as file:
            json.dump(description, file)


class _State:
    """What all connections share."""

    def __init__(self, engine: Engine, options: Options, secret: str) -> None:
        self.options = options
        self._engine = engine
        self._secret = secret
        self._token = secrets.token_urlsafe(24)
        self._lock = threading.Lock()  # an engine is for one thread at a time
        self.queries: list[str] = []
        self.faults: list[Fault] = []

    def expire(self) -> None:
        self._token = secrets.token_urlsafe(24)

    def fault(self, on: str, kql: str = "") -> Fault | None:
        """The fault that this query or request meets, which is used up by it."""
        for at, fault in enumerate(self.faults):
            if fault.on == on and re.search(fault.of, kql):
                if fault.times == 1:
                    del self.faults[at]
                elif fault.times > 1:
                    self.faults[at] = replace(fault, times=fault.times - 1)
                return fault
        return None

    def token(self, form: Mapping[str, str]) -> Answer:
        fault = self.fault("token")
        if fault is not None:
            return fault.answer()
        if form.get("client_id") != self.options.app_id or form.get("client_secret") != self._secret:
            said = "AADSTS7000215: Invalid client secret provided."
            return (
                401,
                {"error": "invalid_client", "error_description": said, "error_codes": [7000215]},
                {},
                0.0,
            )
        return 200, {"token_type": "Bearer", "expires_in": 3600, "access_token": self._token}, {}, 0.0

    def query(self, workspace: str, authorization: str, body: bytes) -> Answer:
        """What a query gets."""
        status, document = self._checked(workspace, authorization)
        if status:
            return status, document, {}, 0.0
        try:
            kql, within = asked(json.loads(body), self.options.now)
        except (ValueError, KeyError, TypeError, RecursionError):
            return 400, error("BadArgumentError", "The request had some invalid properties"), {}, 0.0
        with self._lock:
            self.queries.append(kql)
            fault = self.fault("query", kql)
            if fault is not None:
                return fault.answer()
            return *self._run(kql, within), {}, 0.0

    def _checked(self, workspace: str, authorization: str) -> tuple[int, dict[str, Any]]:
        """What is wrong with who asks and where; status 0 if nothing is."""
        if authorization != f"Bearer {self._token}":
            return 401, error(
                "InvalidTokenError", "The provided authentication is not valid for this resource"
            )
        if workspace != self.options.workspace_id:
            return 404, error("WorkspaceNotFoundError", "The workspace could not be found")
        return 0, {}

    def _run(self, kql: str, within: tuple[datetime, datetime] | None) -> tuple[int, dict[str, Any]]:
        try:
            result = self._engine.run(kql, now=self.options.now, within=within)
        except DataError as wrong:
            place = _AT.search(wrong.what)
            inner: dict[str, Any] = {"code": "SemanticError", "message": wrong.what}
            if place:
                inner = {**inner, "line": int(place[1]), "pos": int(place[2])}
            return 400, error("BadArgumentError", "The request had some invalid properties", inner)
        return 200, answer(result, self.options.max_rows)


def error(code: str, message: str, inner: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An error in Azure's form."""
    said = {"code": code, "message": message, "correlationId": str(uuid.uuid4())}
    return {"error": {**said, **({"innererror": inner} if inner else {})}}


def answer(result: Result, max_rows: int) -> dict[str, Any]:
    """A result in Azure's form; beyond the row limit a partial one."""
    kinds = [column.type for column in result.columns]
    table = {
        "name": "PrimaryResult",
        "columns": [{"name": column.name, "type": column.type} for column in result.columns],
        "rows": [list(map(cell, row, kinds)) for row in islice(result.rows, max_rows)],
    }
    if len(result.rows) <= max_rows:
        return {"tables": [table]}
    detail = {"code": "QueryExecutionResultSizeLimitExceeded", "message": "Result size limit was passed"}
    partial = {"code": "PartialError", "message": "There were some errors", "details": [detail]}
    return {"tables": [table], "error": partial}


def asked(document: Any, now: datetime) -> tuple[str, tuple[datetime, datetime] | None]:
    """Query and time span of a request. Raises ValueError, KeyError or TypeError for what is none."""
    kql, span = document["query"], document.get("timespan")
    if not isinstance(kql, str) or not isinstance(span, str | None):
        raise TypeError("query and timespan are text")
    kql.encode()  # half a character cannot be asked for
    return kql, timespan(span, now) if span else None


def timespan(text: str, now: datetime) -> tuple[datetime, datetime]:
    """Start and end of an ISO 8601 duration or interval. Raises ValueError."""
    first, slash, second = text.partition("/")
    try:
        if not slash:
            return now - _duration(first), now
        if second.startswith("P"):
            return _moment(first), _moment(first) + _duration(second)
        if first.startswith("P"):
            return _moment(second) - _duration(first), _moment(second)
        return _moment(first), _moment(second)
    except OverflowError:
        raise ValueError("a time beyond the calendar") from None


def _moment(text: str) -> datetime:
    """A time; without an offset it is UTC, as Azure takes it."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError("no ISO 8601 duration")
    weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    state: _State
    protocol_version = "HTTP/1.1"
    timeout = _HANG_S
    # Else the body waits for the acknowledgement of the headers: 40 ms an answer, which no service takes.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        match = _DISCOVERY.fullmatch(self.path)
        if match is None:
            self._send(404, error("PathNotFoundError", "The requested path does not exist"))
            return
        fault = self.state.fault("discovery")
        if fault is not None:
            self._send(*fault.answer())
            return
        root = f"https://{self.headers.get('Host', 'localhost')}/{match[1]}"
        self._send(
            200,
            {
                "issuer": f"{root}/v2.0",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "token_endpoint": f"{root}/oauth2/v2.0/token",
            },
        )

    def do_POST(self) -> None:
        said = self.headers.get("Content-Length") or "0"
        size = int(said) if said.isascii() and said.isdecimal() and len(said) < _DIGITS else _MOST_BYTES + 1
        if size > _MOST_BYTES:
            self.close_connection = True
            self._send(413, error("BadArgumentError", "The request is too large"))
            return
        body = self.rfile.read(size)
        if _TOKEN.fullmatch(self.path):
            self._send(*self.state.token(_form(body)))
        elif match := _QUERY.fullmatch(self.path):
            self._send(*self.state.query(match[1], self.headers.get("Authorization", ""), body))
        else:
            self._send(404, error("PathNotFoundError", "The requested path does not exist"))

    def _send(
        self,
        status: int,
        document: Mapping[str, Any] | bytes,
        headers: Mapping[str, str] | None = None,
        drip: float = 0.0,
    ) -> None:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        write(self.wfile, content, drip)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — http.server's name
        """Nothing: a request line is nobody's business."""


def _form(body: bytes) -> dict[str, str]:
    fields = parse_qs(body.decode("ascii", "replace"), max_num_fields=50)
    return {name: values[0] for name, values in fields.items()}
