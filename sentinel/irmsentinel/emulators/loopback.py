"""HTTPS on loopback with a throw-away CA: what stand-ins of Microsoft's services are made of."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import trustme

_HANG_S = 30
_MOST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """What came in. Header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    origin: str


@dataclass(frozen=True)
class Response:
    """What goes out: a document as JSON, or bytes as they are; ``cut``: the connection ends without it.

    ``drip``: seconds between two bytes of it.
    """

    status: int
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    drip: float = 0.0


class Served:
    """A server on 127.0.0.1 and a context manager; ``directory`` gets the CA that its certificate is of."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], directory: Path, *, port: int = 0) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ca_file = directory / "ca.pem"
        authority = trustme.CA(organization_name="irmexport, for tests only")
        authority.cert_pem.write_to_path(str(self.ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        self._server = _Server(("127.0.0.1", port), handler)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"https://localhost:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Loopback(Served):
    """A server that gives what ``answer`` does, which is called by several threads at once."""

    def __init__(self, answer: Callable[[Request], Response], directory: Path, *, port: int = 0) -> None:
        handler = type("Handler", (_Handler,), {"answer": staticmethod(answer)})
        super().__init__(handler, directory, port=port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in the middle is nobody's business."""


def write(to: BufferedIOBase, content: bytes, drip: float) -> None:
    """The body of an answer, at once or a byte at a time."""
    if not drip:
        to.write(content)
        return
    for at in range(len(content)):
        to.write(content[at : at + 1])
        time.sleep(drip)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    answer: Callable[[Request], Response]
    protocol_version = "HTTP/1.1"
    timeout = _HANG_S
    # Else the body waits for the acknowledgement of the headers: 40 ms an answer, which no service takes.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        if size > _MOST_BYTES:
            self.close_connection = True
            self._send(Response(413, {}))
            return
        self._send(
            self.answer(
                Request(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query, keep_blank_values=True)),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(size),
                    f"https://{self.headers.get('Host', 'localhost')}",
                )
            )
        )

    def _send(self, response: Response) -> None:
        if response.cut:
            self.close_connection = True
            return
        document = response.document
        content = (
            document
            if isinstance(document, bytes)
            else b""
            if document is None
            else json.dumps(document).encode()
        )
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if "Content-Type" not in response.headers:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        if "Date" not in response.headers:
            self.send_header("Date", self.date_time_string())
        if response.status != 204:  # noqa: PLR2004 - No Content
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        write(self.wfile, content, response.drip)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — http.server's name
        """Nothing: a request line is nobody's business."""
