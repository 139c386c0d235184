"""Faults whose replies are errors in the form of the emulated service, or bodies as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from irmemulator.faults import Fault
from irmemulator.graph_errors import graph_error
from irmsentinel.emulators.query_api import error_document

_JSON = "application/json; charset=utf-8"
_WHY = "an emulated fault"
_QUERY_CODES = {403: "InsufficientAccessError", 429: "TooManyRequests", 504: "GatewayTimeout"}


def graph_fault(on: str, status: int, code: str = "", **more: Any) -> Fault:
    """An error of Microsoft Graph; ``more`` are fields of the fault."""
    return _fault(on, status, graph_error(code, _WHY), **more)


def azure_fault(
    on: str, status: int = 500, code: str = "", *, headers: Mapping[str, str] | None = None, **more: Any
) -> Fault:
    """An error of the Management Activity API or of Logs Ingestion; an empty document if there is no code."""
    document = {"error": {"code": code, "message": _WHY}} if code else {}
    return _fault(on, status, document, headers=headers, **more)


def query_fault(
    status: int, code: str = "", *, on: str = "query", retry_after: str | None = None, **more: Any
) -> Fault:
    """An error of Log Analytics; ``code`` is the innermost one."""
    inner = {"code": code, "message": _WHY} if code else None
    document = error_document(_QUERY_CODES.get(status, "Error"), _WHY, inner)
    return _fault(on, status, document, retry_after=retry_after or None, **more)


def page_fault(on: str = "upload") -> Fault:
    """A page in place of an answer, as a proxy's sign-in gives."""
    page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Emulated page</body></html>"
    return Fault(on, status=200, body=page, headers=(("Content-Type", "text/html; charset=utf-8"),))


def _fault(
    on: str,
    status: int,
    document: Mapping[str, Any],
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Fault:
    named = tuple({"Content-Type": _JSON, **(headers or {})}.items())
    body = json.dumps(document).encode() if body is None else body
    return Fault(on, status=status, body=body, headers=named, **more)
