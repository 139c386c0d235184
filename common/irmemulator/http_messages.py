"""HTTP requests and replies as values.

Promised: no socket is needed to make a reply or to write it as bytes. Not checked here: that a header has no
line break (`Fault` checks the headers that a user can set).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qsl

Headers = tuple[tuple[str, str], ...]

_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
# The JSON documents show uploaded rows: no cache may keep them, no other site may frame them,
# and nothing in them may run or load.
_GUARDS: Headers = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    ),
)


@dataclass(frozen=True)
class Request:
    """A request. The repr shows neither headers nor body: they have tokens, secrets and rows.

    ``path`` is without the query; ``headers`` are by name in lower case; ``origin`` is the server's base URL,
    with the name that the client used if it is one of the server's own (``host_is_ours``). ``body`` is None
    if it was not wholly read.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    origin: str = ""
    host_is_ours: bool = True
    body: bytes | None = field(default=None, repr=False)
    body_read: int = 0

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the query; the last value of each."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    """A status, headers and a body. The repr does not show the body: it may have a token."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)

    def with_headers(self, *headers: tuple[str, str]) -> Reply:
        """The same reply with more headers, which replace those of the same name."""
        names = {name.lower() for name, _ in headers}
        left = tuple(header for header in self.headers if header[0].lower() not in names)
        return Reply(self.status, left + headers, self.body)


def json_reply(status: int, content: object, *headers: tuple[str, str]) -> Reply:
    """A reply whose body is ``content`` as JSON."""
    body = json.dumps(content, separators=(",", ":")).encode("ascii")
    kind = ("Content-Type", "application/json; charset=utf-8")
    return Reply(status, (kind, *_GUARDS), body).with_headers(*headers)


def error_reply(status: int, code: str, message: str, *headers: tuple[str, str]) -> Reply:
    """A refusal as JSON: a code for programs, a message for people."""
    return json_reply(status, {"error": {"code": code, "message": message}}, *headers)


def method_not_allowed(*methods: str) -> Reply:
    """The reply to a method that an endpoint does not have."""
    allow = ", ".join(methods)
    return error_reply(405, "method_not_allowed", f"use {allow}", ("Allow", allow))


def compose(reply: Reply, *, close: bool) -> bytes:
    """A reply as HTTP/1.1; ``close``: whether the connection is closed after it."""
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Emulated"
    names = {name.lower() for name, _ in reply.headers}
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    if "date" not in names:
        lines.append(f"Date: {formatdate(usegmt=True)}")
    lines.append("Server: irmemulator")
    lines.extend(f"{name}: {value}" for name, value in reply.headers)
    bodiless = reply.status in _BODILESS
    if not bodiless and "content-length" not in names:
        lines.append(f"Content-Length: {len(reply.body)}")
    lines.append(f"Connection: {'close' if close else 'keep-alive'}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if bodiless else head + reply.body
