"""Emulates Azure Monitor's Logs Ingestion API: uploads through a data collection rule into tables.

Promised, as Microsoft's pages describe it: gzip, the limit of 1 MB before and after decompression, undeclared
columns dropped, values cut at 64 KB, and the rule's transformation. The rows are kept in memory, and as
``tables/TABLE.jsonl`` for `irmexport sentinel query --local`.
Not promised: anything that only a live workspace shows.
"""

from __future__ import annotations

import gzip
import json
import re
import secrets
import threading
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irmemulator.entra import Entra
from irmemulator.http_messages import Reply, Request
from irmemulator.routing import Route, unless_spoiled

from irmsentinel.content.tables import Table
from irmsentinel.content.transforms import Transform
from irmsentinel.emulators.azure_errors import azure_error
from irmsentinel.emulators.collector_options import Options
from irmsentinel.emulators.management_api import iso
from irmsentinel.kql.engine import Engine
from irmsentinel.kql.result import cell

RESOURCES = ("https://monitor.azure.com", "https://monitor.azure.us")
#: The names by which faults are set.
ENDPOINTS = ("upload",)

_STREAM = re.compile(r"/dataCollectionRules/([^/]+)/streams/([^/]+)")
_LARGEST_UPLOAD = 1_000_000
_LARGEST_VALUE = 64 * 1024
_LONGEST_BODY = 8 * 1024 * 1024


class LogsIngestion:
    """A data collection endpoint and the tables behind it. Safe between threads.

    ``rows`` has the rows of each table, ``uploads`` the decompressed size of each accepted upload.
    """

    def __init__(self, options: Options, entra: Entra, directory: Path) -> None:
        """``directory`` gets the folder ``tables``."""
        self.rows: dict[str, list[dict[str, Any]]] = {one.table.name: [] for one in options.rules.values()}
        self.uploads: list[int] = []
        self._options = options
        self._entra = entra
        self._tables = directory / "tables"
        self._lock = threading.Lock()

    def route(self, request: Request) -> Route | None:
        """The endpoint for a request, or None if its path is not one of the API's."""
        match = _STREAM.fullmatch(request.path)
        if match is None:
            return None
        rule, stream = match.groups()
        return Route("upload", unless_spoiled(lambda whole: self._upload(rule, stream, whole)), _LONGEST_BODY)

    def _upload(self, rule: str, stream: str, request: Request) -> Reply:
        grant = self._entra.check(request.headers.get("authorization"))
        if grant is None or grant.resource not in RESOURCES:
            return azure_error(401, "InvalidToken", "The token is not for this service")
        if rule not in self._options.rules:
            return azure_error(404, "NotFound", f"Data collection rule with immutable Id '{rule}' not found.")
        transform = self._options.rules[rule]
        if stream != transform.stream:
            return azure_error(400, "InvalidStream", f"Stream {stream} is not configured in the rule.")
        rows = _rows(request)
        if isinstance(rows, Reply):
            return rows
        size, records = rows
        with self._lock:
            kept = self._transformed(transform, records)
            self.rows[transform.table.name].extend(kept)
            self.uploads.append(size)
            self._tables.mkdir(mode=0o700, exist_ok=True)
            with (self._tables / f"{transform.table.name}.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(f"{json.dumps(row)}\n" for row in kept)
        return Reply(204, (("x-ms-request-id", secrets.token_hex(8)),))

    def _transformed(self, transform: Transform, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The rows as the table gets them: declared columns only, values cut, the rule's KQL run."""
        names = {column.name for column in transform.columns}
        source = [{n: _cut(v) for n, v in row.items() if n in names} for row in rows]
        if not source:
            return []
        if not self._options.run_kql:
            return [{"TimeGenerated": iso(self._options.now()), **row} for row in source]
        with Engine() as engine:
            engine.insert(Table("source", "", transform.columns), source)
            result = engine.run(transform.kql, now=datetime.fromtimestamp(self._options.now(), UTC))
        kept = []
        for values in result.rows:
            pairs = zip(result.columns, values, strict=True)
            row = {column.name: _stored(cell(value, column.type), column.type) for column, value in pairs}
            kept.append({name: value for name, value in row.items() if value not in (None, "")})
        return kept


def _rows(request: Request) -> tuple[int, list[dict[str, Any]]] | Reply:
    """The size and the rows of an upload, or why it is refused."""
    sent = body = request.body or b""
    if request.headers.get("content-encoding") == "gzip":
        try:
            body = gzip.decompress(sent)
        except (OSError, EOFError, zlib.error):
            return azure_error(400, "InvalidRequestPayload", "The body is not gzip.")
    if max(len(sent), len(body)) > _LARGEST_UPLOAD:
        return azure_error(413, "ContentLengthLimitExceeded", "Maximum allowed content length: 1 MB.")
    try:
        rows = json.loads(body)
    except ValueError:
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return azure_error(400, "InvalidRequestPayload", "The body must be a JSON array of objects.")
    return len(body), rows


def _stored(value: Any, kind: str) -> Any:
    return json.loads(value) if kind == "dynamic" and isinstance(value, str) and value else value


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value.encode()) > _LARGEST_VALUE:
        return value.encode()[:_LARGEST_VALUE].decode("utf-8", "ignore")
    return value
