"""Emulates the Log Analytics query API, for Microsoft's own client. The local engine answers the queries.

Promised, as Azure does it: ``POST /v1/workspaces/{id}/query``, the time span applied to every table, dynamic
values as text, NaN as "NaN", errors in Azure's nested form, a partial result with HTTP 200 beyond the row
limit, and the token endpoint. Not promised: anything that only a live workspace shows, or KQL beyond the
engine's subset (docs/kql.md).
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from irmcore.errors import DataError
from irmemulator.announced_server import AnnouncedServer
from irmemulator.faults import Fault
from irmemulator.http_messages import Reply, Request, json_reply
from irmemulator.routing import Route

from irmsentinel.emulators.announcement import QUERY_API
from irmsentinel.emulators.iso_timespan import parse_timespan
from irmsentinel.kql.engine import Engine
from irmsentinel.kql.result import Result, cell

RESOURCE = "https://api.loganalytics.io"

_QUERY = re.compile(r"/(?:v1/)?workspaces/([^/]+)/query")
_AT = re.compile(r"line (\d+), column (\d+)")
_LONGEST_BODY = 1_000_000
_BAD_REQUEST = "The request had some invalid properties"

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Options:
    """A workspace, the application that may query it, its clock, and the rows that an answer may have."""

    workspace_id: str
    now: datetime
    tenant_id: str = "contoso.example"
    app_id: str = "66666666-7777-4888-8999-bbbbbbbbbbbb"
    max_rows: int = 500_000


class QueryApiEmulator(AnnouncedServer):
    """The API of one workspace. Safe between threads. ``queries`` has every query, whatever the reply was."""

    announcement = QUERY_API

    def __init__(self, engine: Engine, options: Options, directory: Path, **more: Any) -> None:
        """``engine`` has the workspace's tables; ``more`` as `AnnouncedServer`."""
        self.options = options
        self.queries: list[str] = []
        self._engine = engine
        self._lock = threading.Lock()  # an engine is for one thread at a time
        app = (options.tenant_id, options.app_id)
        super().__init__(app, ("query",), directory, resources=(RESOURCE,), **more)

    def announce(self, **more: Any) -> None:
        """Write the secret and the announcement, for `--emulator DIRECTORY`. Raises OSError."""
        workspace, now = self.options.workspace_id, self.options.now.isoformat()
        super().announce(workspace_id=workspace, now=now, **more)

    def route(self, request: Request) -> Route | Reply:
        """The endpoint for a request."""
        match = _QUERY.fullmatch(request.path)
        if match is None or request.method != "POST":
            return self.entra.route(request) or _error(404, "PathNotFoundError", "The path does not exist")
        workspace = match[1]

        def query_text(whole: Request) -> str | None:
            query = self._parse(workspace, whole)
            return None if isinstance(query, Reply) else query[0]

        def answer(whole: Request, fault: Fault | None) -> Reply:
            query = self._parse(workspace, whole)
            return query if isinstance(query, Reply) else self._query(*query, fault)

        return Route("query", answer, _LONGEST_BODY, query_text)

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """An error in Azure's form. A length that is not a number counts as too large."""
        if code == "content_length":
            status = 413
        return _error(status, "BadArgumentError", message)

    def _parse(self, workspace: str, request: Request) -> tuple[str, Span | None] | Reply:
        """The query and its time span, or why the request is refused."""
        grant = self.entra.check(request.headers.get("authorization"))
        if grant is None:
            why = "The provided authentication is not valid for this resource"
            return _error(401, "InvalidTokenError", why)
        if workspace != self.options.workspace_id:
            return _error(404, "WorkspaceNotFoundError", "The workspace could not be found")
        try:
            return read_query(json.loads(request.body or b""), self.options.now)
        except (ValueError, KeyError, TypeError, RecursionError):
            return _error(400, "BadArgumentError", _BAD_REQUEST)

    def _query(self, kql: str, within: Span | None, fault: Fault | None) -> Reply:
        with self._lock:
            self.queries.append(kql)
            if fault is not None and not fault.takes_effect:
                return Reply(fault.status or 500)  # the fault's own reply is sent
            try:
                result = self._engine.run(kql, now=self.options.now, within=within)
            except DataError as wrong:
                place = _AT.search(wrong.where or "")
                inner: dict[str, Any] = {"code": "SemanticError", "message": wrong.what}
                if place:
                    inner = {**inner, "line": int(place[1]), "pos": int(place[2])}
                return _error(400, "BadArgumentError", _BAD_REQUEST, inner)
        return json_reply(200, result_document(result, self.options.max_rows))


def error_document(code: str, message: str, inner: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An error in Azure's form."""
    outer = {"code": code, "message": message, "correlationId": str(uuid.uuid4())}
    return {"error": {**outer, **({"innererror": inner} if inner else {})}}


def result_document(result: Result, max_rows: int) -> dict[str, Any]:
    """A result in Azure's form; beyond ``max_rows`` a partial one."""
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


def read_query(document: Any, now: datetime) -> tuple[str, Span | None]:
    """The query and the time span of a request's body. Raises ValueError, KeyError or TypeError."""
    kql, span = document["query"], document.get("timespan")
    if not isinstance(kql, str) or not isinstance(span, str | None):
        raise TypeError("query and timespan must be text")
    kql.encode()  # raises ValueError for a lone surrogate, which cannot be in a query
    return kql, parse_timespan(span, now) if span else None


def _error(status: int, code: str, message: str, inner: Mapping[str, Any] | None = None) -> Reply:
    return json_reply(status, error_document(code, message, inner))
