"""Errors in Azure's form."""

from __future__ import annotations

from irmemulator.http_messages import Reply, error_reply

JSON = "application/json; charset=utf-8"


def azure_error(status: int, code: str, message: str) -> Reply:
    """``{"error": {"code", "message"}}``, the form of the Management Activity API and of Logs Ingestion."""
    return error_reply(status, code, message)
