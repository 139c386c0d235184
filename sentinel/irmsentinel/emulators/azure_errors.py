"""Errors in Azure's form, as replies and as faults."""

from __future__ import annotations

import json
from collections.abc import Mapping

from irmemulator.faults import Fault
from irmemulator.http_messages import Reply, error_reply

JSON = "application/json; charset=utf-8"


def azure_error(status: int, code: str, message: str) -> Reply:
    """``{"error": {"code", "message"}}``, the form of the Management Activity API and of Logs Ingestion."""
    return error_reply(status, code, message)


def azure_fault(
    on: str,
    status: int = 500,
    code: str = "",
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    drip: float = 0.0,
    matching: str = "",
) -> Fault:
    """A fault whose reply is the error ``code``, an empty document if there is none, or ``body`` as it is."""
    if body is None:
        document = {"error": {"code": code, "message": "an emulated fault"}} if code else {}
        body = json.dumps(document).encode()
    named = {"Content-Type": JSON, **(headers or {})}
    return Fault(on, status=status, body=body, headers=tuple(named.items()), drip=drip, matching=matching)
