"""Errors in Microsoft Graph's form: learn.microsoft.com/graph/errors."""

from __future__ import annotations

import time
import uuid
from typing import Any

from irmemulator.http_messages import json_reply


class RefusedError(Exception):
    """An error in Graph's form, on its way to the client."""

    def __init__(self, status: int, code: str, message: str, *headers: tuple[str, str]) -> None:
        super().__init__(code)
        self.reply = json_reply(status, graph_error(code, message), *headers)


def graph_error(code: str, message: str) -> dict[str, Any]:
    """An error in Graph's form."""
    inner = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()),
        "request-id": str(uuid.uuid4()),
        "client-request-id": str(uuid.uuid4()),
    }
    return {"error": {"code": code, "message": message, "innerError": inner}}
