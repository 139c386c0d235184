"""A reply as a value, and the two forms of it that this package sends: JSON and HTML.

Promised: pure values, composed to bytes without a socket; a header never breaks into another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

Headers = tuple[tuple[str, str], ...]

_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
# The page and the JSON answers show what was uploaded: no cache may keep them, no other site
# may frame them, and nothing in them may run or load.
_GUARDS: Headers = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    ),
)


@dataclass(frozen=True)
class Reply:
    """A status, headers and a body. The repr does not show the body: it may be a token."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)

    def with_headers(self, *headers: tuple[str, str]) -> Reply:
        """The same reply with more headers."""
        return Reply(self.status, self.headers + headers, self.body)


def json_reply(status: int, content: object, *headers: tuple[str, str]) -> Reply:
    """A reply whose body is `content` as JSON."""
    body = json.dumps(content, separators=(",", ":")).encode("ascii")
    kind = ("Content-Type", "application/json; charset=utf-8")
    return Reply(status, (kind, *_GUARDS, *headers), body)


def error_reply(status: int, code: str, message: str, *headers: tuple[str, str]) -> Reply:
    """A refusal as JSON: a code for programs, a message for people."""
    return json_reply(status, {"error": {"code": code, "message": message}}, *headers)


def html_reply(status: int, page: str) -> Reply:
    """A reply whose body is a page."""
    return Reply(status, (("Content-Type", "text/html; charset=utf-8"), *_GUARDS), page.encode())


def compose(reply: Reply, *, close: bool) -> bytes:
    """Write a reply as HTTP/1.1.

    Args:
        reply: What to send.
        close: Whether the connection is closed after it.
    """
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Emulated"
    named: Mapping[str, str] = {name.lower(): value for name, value in reply.headers}
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    if "date" not in named:
        lines.append(f"Date: {formatdate(usegmt=True)}")
    lines.append("Server: irmemulator")
    lines.extend(f"{name}: {value}" for name, value in reply.headers)
    bodiless = reply.status in _BODILESS
    if not bodiless and "content-length" not in named:
        lines.append(f"Content-Length: {len(reply.body)}")
    lines.append(f"Connection: {'close' if close else 'keep-alive'}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if bodiless else head + reply.body
