"""One connection of the stand-in: its requests are read, answered and, where asked for, spoiled.

Promised: a request's fault is carried out exactly, by `wire` where HTTP has no word for it; a
request is never answered before it is on record. Not promised: chunked requests (they get a 411).
"""

from __future__ import annotations

import re
import socketserver
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

from irmemulator.connection_faults import discard, drip, reset
from irmemulator.entra import discovery_tenant, token_path
from irmemulator.faults import Endpoint, Fault
from irmemulator.http_messages import Reply, compose, error_reply
from irmemulator.purview_service import CONTROL_PATH, UPLOAD_PATH, Service, TokenRequest
from irmemulator.upload_checks import Signal

_LONGEST_BODY = 64 * 1024 * 1024
_LONGEST_CONTROL_BODY = 1024 * 1024
_LINGER_S = 1.0
# A page that has its own name point to 127.0.0.1 (DNS rebinding) still sends its name as Host.
_OUR_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_CONTENT_LENGTH = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True)
class Site:
    """What a connection needs of the server it belongs to.

    Attributes:
        service: What answers.
        base_url: The server's own address.
        stopping: Set when the server ends all connections; waits are cut short by it.
        note_failure: Takes a defect of the emulator's own.
    """

    service: Service
    base_url: str
    stopping: threading.Event
    note_failure: Callable[[Exception], None]


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, asks the service, and spoils what is to be spoiled."""

    protocol_version = "HTTP/1.1"
    connection: ssl.SSLSocket

    def __init__(
        self,
        connection: ssl.SSLSocket,
        client_address: object,
        server: socketserver.BaseServer,
        site: Site,
    ) -> None:
        """Serve a connection until it ends; the handshake is done already."""
        self._site = site
        super().__init__(connection, client_address, server)

    def do_GET(self) -> None:
        self._dispatch()

    def do_POST(self) -> None:
        self._dispatch()

    def do_DELETE(self) -> None:
        self._dispatch()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base
        """Log nothing."""

    def version_string(self) -> str:
        return "irmemulator"

    def handle_expect_100(self) -> bool:
        # Said in _read, so that an early reply can come in its place.
        return True

    def _dispatch(self) -> None:
        try:
            self._route()
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - a defect of ours is reported, not hidden
            self._site.note_failure(error)
            self._end(error_reply(500, "emulator_defect", "see Emulator.failures"))

    def _route(self) -> None:
        service = self._site.service
        path, _, query = self.path.partition("?")
        tenant = discovery_tenant(path)
        token = token_path(path)
        if path == UPLOAD_PATH:
            if self._allows("POST"):
                self._upload(query)
        elif token is not None:
            if self._allows("POST"):
                request = TokenRequest(token, self.headers.get("client-request-id"))
                self._exchange("token", lambda body, _read, _fault: service.token(request, body))
        elif tenant is not None:
            if self._allows("GET"):
                base_url = self._asked_base_url()
                self._exchange(
                    "discovery",
                    lambda _body, _read, _fault: service.entra.discovery(tenant, base_url),
                )
        else:
            self._serve_people(path, query)

    def _serve_people(self, path: str, query: str) -> None:
        service = self._site.service
        pages: dict[str, Callable[[], Reply]] = {
            "/": service.page,
            "/records": lambda: service.records(query),
            "/uploads": service.uploads,
        }
        if not self._host_is_ours():
            self._end(error_reply(421, "not_our_host", "ask for 127.0.0.1 or localhost"))
        elif path == CONTROL_PATH:
            if self._allows("GET", "POST", "DELETE"):
                self._control()
        elif path not in pages:
            self._end(error_reply(404, "no_such_path", "the emulator has no such path"))
        elif self._allows("GET"):
            self._end(pages[path]())

    def _control(self) -> None:
        length = self._content_length()
        if isinstance(length, Reply):
            self._end(length)
        elif length > _LONGEST_CONTROL_BODY:
            self._end(error_reply(413, "too_many_bytes", "the body is too long"))
        else:
            body = self._read(length)
            kind = self.headers.get("Content-Type")
            self._send(self._site.service.control(self.command, kind, body))

    def _upload(self, query: str) -> None:
        authorization = self.headers.get("Authorization")
        kind = self.headers.get("Content-Type")

        def answer(body: bytes | None, read: int, fault: Fault | None) -> Reply:
            signal = Signal(authorization, query, kind, body, read)
            return self._site.service.upload(signal, fault)

        self._exchange("upload", answer)

    def _exchange(self, on: Endpoint, answer: Callable[[bytes | None, int, Fault | None], Reply]) -> None:
        """Read a request, have it answered, and send the answer or the fault.

        `answer` takes the body (None: not wholly read), the number of bytes read, and the fault.
        """
        fault = self._site.service.next_fault(on)
        length = self._content_length()
        if isinstance(length, Reply):
            answer(None, 0, fault)
            self._end(length)
            return
        if fault is not None and fault.early_status is not None:
            answer(None, 0, fault)
            self._reply_early(fault)
            return
        stop_at = None if fault is None else fault.stops_after(length)
        if stop_at is not None:
            read = self._read(stop_at)
            answer(None, len(read), fault)
            self._wait(fault)
            self._reset()
            return
        body = self._read(length)
        if len(body) < length:
            answer(None, len(body), fault)
            self.close_connection = True
            return
        reply = answer(body, len(body), fault)
        if fault is None:
            self._send(reply)
        else:
            self._spoil(fault, reply)

    def _spoil(self, fault: Fault, reply: Reply) -> None:
        if self._wait(fault):
            self.close_connection = True
        elif fault.reset_after_last_byte:
            self._reset()
        elif fault.close_without_reply:
            self.close_connection = True
        else:
            self._send(fault.reply() or reply, fault.drip)

    def _reply_early(self, fault: Fault) -> None:
        reply = fault.reply()
        self.close_connection = True
        if reply is not None and not self._wait(fault):
            self._send(reply, fault.drip)
            discard(self.rfile.read1, self.connection, fault.linger)

    def _wait(self, fault: Fault | None) -> bool:
        """Wait for a fault's delay; whether the server stops meanwhile."""
        return self._site.stopping.wait(0 if fault is None else fault.delay)

    def _reset(self) -> None:
        self.close_connection = True
        self.rfile.close()
        reset(self.connection)

    def _content_length(self) -> int | Reply:
        """The body's length, or the reply to a body that cannot be read."""
        if self.headers.get("Transfer-Encoding") is not None:
            return error_reply(411, "length_required", "send a Content-Length, not chunks")
        values = self.headers.get_all("Content-Length", ["0"])
        if len(set(values)) != 1 or not _CONTENT_LENGTH.fullmatch(values[0].strip()):
            return error_reply(400, "content_length", "the Content-Length is no number")
        length = int(values[0])
        if length > _LONGEST_BODY:
            return error_reply(413, "too_many_bytes", "the body is too long to be read")
        return length

    def _read(self, count: int) -> bytes:
        """That much of the body; less when the client stops sending."""
        if self.headers.get("Expect", "").lower() == "100-continue" and count:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        try:
            while len(body) < count and (chunk := self.rfile.read1(count - len(body))):
                body += chunk
        except OSError:
            # The bytes that did come are on record; whoever asked for more finds them too few.
            self.close_connection = True
        return bytes(body)

    def _host_is_ours(self) -> bool:
        return _OUR_HOST.fullmatch(self.headers.get("Host", "")) is not None

    def _asked_base_url(self) -> str:
        # The name that the client used, so that a client of "localhost", or one behind a proxy
        # that breaks connections, stays on its way.
        return f"https://{self.headers['Host']}" if self._host_is_ours() else self._site.base_url

    def _allows(self, *methods: str) -> bool:
        if self.command in methods:
            return True
        allow = ("Allow", ", ".join(methods))
        self._end(error_reply(405, "method_not_allowed", f"use {allow[1]}", allow))
        return False

    def _end(self, reply: Reply) -> None:
        """Send a reply to a request whose body, if it has one, was not read."""
        no_body = self.headers.get("Content-Length", "0").strip() == "0"
        if no_body and self.headers.get("Transfer-Encoding") is None:
            self._send(reply)
            return
        self.close_connection = True  # what is left of the body would pass for a request
        self._send(reply)
        discard(self.rfile.read1, self.connection, _LINGER_S)

    def _send(self, reply: Reply, drip_s: float = 0.0) -> None:
        content = compose(reply, close=self.close_connection)
        if drip_s:
            if not drip(self.wfile.write, content, drip_s, self._site.stopping.wait):
                self.close_connection = True
        else:
            self.wfile.write(content)
