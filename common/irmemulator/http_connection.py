"""One connection to an emulator: requests are read, routed, answered and, on demand, spoiled.

Promised: a fault is carried out exactly, by `connection_faults` where HTTP has no word for it; the service
has answered a request before its reply is sent. Not promised: chunked requests (they get a 411).
"""

from __future__ import annotations

import re
import socketserver
import ssl
import threading
import traceback
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler

from irmemulator.connection_faults import discard, drip, reset
from irmemulator.faults import Fault
from irmemulator.http_messages import Reply, Request, compose
from irmemulator.routing import Route, Service

_LINGER_S = 1.0
_PORT = re.compile(r":\d{1,5}$", re.ASCII)
_CONTENT_LENGTH = re.compile(r"\d{1,12}", re.ASCII)


@dataclass
class Site:
    """What the connections of an emulator share, over all of its starts.

    ``hosts`` are the names and addresses that the certificate is for; ``stopping`` is set when all
    connections end, and cuts every wait short; ``failures`` are defects of the emulator.
    """

    service: Service
    hosts: Collection[str]
    handshake_timeout: float
    idle_timeout: float
    base_url: str = ""
    connections: int = 0
    failures: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def note_failure(self, error: Exception) -> None:
        """Remember a defect by type and place. Its text could quote a row."""
        at = traceback.extract_tb(error.__traceback__)[-1]
        self.failures.append(f"{type(error).__name__} in {at.name}, line {at.lineno}")


class HttpConnection(BaseHTTPRequestHandler):
    """Serves one connection until it ends."""

    protocol_version = "HTTP/1.1"
    connection: ssl.SSLSocket

    def __init__(
        self, connection: ssl.SSLSocket, client: object, server: socketserver.BaseServer, site: Site
    ) -> None:
        """Serve a connection whose TLS handshake is done, until it ends."""
        self._site = site
        super().__init__(connection, client, server)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base
        """Log nothing: a request line may have an id."""

    def version_string(self) -> str:
        return "irmemulator"

    def handle_expect_100(self) -> bool:
        # `_read` sends the 100, so that an early reply can be sent instead.
        return True

    def _serve(self) -> None:
        try:
            request = self._request()
            route = self._site.service.route(request)
            if isinstance(route, Reply):
                self._send_unread(route)
            else:
                self._exchange(route, request)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - a defect of ours is reported, not hidden
            self._site.note_failure(error)
            why = "the emulator has a defect: see its failures"
            self._send_unread(self._site.service.refuse(500, "emulator_defect", why))

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _serve  # noqa: N815 - http.server's names

    def _request(self) -> Request:
        path, _, query = self.path.partition("?")
        host = self.headers.get("Host", "")
        ours = _PORT.sub("", host).strip("[]").lower() in self._site.hosts
        return Request(
            self.command,
            path,
            query,
            {name.lower(): value for name, value in self.headers.items()},
            # The name that the client used, so that a client of "localhost", or one behind a proxy that
            # breaks connections, stays on its way.
            f"https://{host}" if ours else self._site.base_url,
            ours,
        )

    def _exchange(self, route: Route, request: Request) -> None:
        """Read the body, have the request answered, and send the answer or the fault."""
        fault = None
        if route.matched_text is None:
            fault = self._fault(route, request.query)
        length = self._content_length(route.longest_body)
        if isinstance(length, Reply):
            route.answer(request, fault)
            self._send_unread(length)
            return
        if fault is not None and fault.early_status is not None:
            route.answer(request, fault)
            self._reply_early(fault)
            return
        stop_at = None if fault is None else fault.stops_after(length)
        if stop_at is not None:
            read = self._read(stop_at)
            route.answer(replace(request, body_read=len(read)), fault)
            self._wait(fault)
            self._reset()
            return
        body = self._read(length)
        if len(body) < length:
            route.answer(replace(request, body_read=len(body)), fault)
            self.close_connection = True
            return
        request = replace(request, body=body, body_read=length)
        if route.matched_text is not None:
            fault = self._fault(route, route.matched_text(request))
        reply = route.answer(request, fault)
        if fault is None:
            self._send(reply)
        else:
            self._spoil(fault, reply)

    def _fault(self, route: Route, text: str | None) -> Fault | None:
        if route.endpoint is None or text is None:
            return None
        return self._site.service.faults.take(route.endpoint, text)

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

    def _content_length(self, longest: int) -> int | Reply:
        """The body's length, or the reply to a body that cannot be read."""
        refuse = self._site.service.refuse
        if self.headers.get("Transfer-Encoding") is not None:
            return refuse(411, "length_required", "send a Content-Length, not chunks")
        values = self.headers.get_all("Content-Length", ["0"])
        if len(set(values)) != 1 or not _CONTENT_LENGTH.fullmatch(values[0].strip()):
            return refuse(400, "content_length", "the Content-Length is not a number")
        length = int(values[0])
        if length > longest:
            return refuse(413, "too_many_bytes", f"the body has more than {longest} bytes")
        return length

    def _read(self, count: int) -> bytes:
        """The next ``count`` bytes of the body; fewer when the client stops sending."""
        if self.headers.get("Expect", "").lower() == "100-continue" and count:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        try:
            while len(body) < count and (chunk := self.rfile.read1(count - len(body))):
                body += chunk
        except OSError:
            # What did arrive is on record; the caller sees that it is too short.
            self.close_connection = True
        return bytes(body)

    def _send_unread(self, reply: Reply) -> None:
        """Send a reply to a request whose body, if it has one, was not read."""
        no_body = self.headers.get("Content-Length", "0").strip() == "0"
        if no_body and self.headers.get("Transfer-Encoding") is None:
            self._send(reply)
            return
        self.close_connection = True  # the rest of the body would be taken for a request
        self._send(reply)
        discard(self.rfile.read1, self.connection, _LINGER_S)

    def _send(self, reply: Reply, drip_s: float = 0.0) -> None:
        content = compose(reply, close=self.close_connection)
        if drip_s:
            if not drip(self.wfile.write, content, drip_s, self._site.stopping.wait):
                self.close_connection = True
        else:
            self.wfile.write(content)
