"""HTTP/1.1 over TLS on loopback: the listening socket, and a thread for each connection.

Promised: a client that hangs in its handshake or body delays nobody else; `stop` ends every connection and
leaves no thread; nothing is logged or printed.
Not promised: HTTP/2, or more clients at a time than a test or an administrator has.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading

from irmemulator.connection_faults import close_in_order
from irmemulator.http_connection import HttpConnection, Site

_POLL_S = 0.05
_JOIN_S = 10.0


class HttpsServer(socketserver.TCPServer):
    """Accepts connections and gives each a thread of its own."""

    allow_reuse_address = True  # a restart on the same port must not wait for old connections
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, site: Site) -> None:
        """Bind and listen; port 0 is any free one. Raises OSError if the address is taken."""
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._context, self._site = context, site
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._workers: set[threading.Thread] = set()
        # The handler class is never used: process_request gives each connection to _work.
        super().__init__(address, socketserver.BaseRequestHandler)
        self._acceptor = threading.Thread(
            target=self.serve_forever, args=(_POLL_S,), name="irmemulator-accept", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    def stop(self) -> None:
        """End every connection and wait for the threads. Raises RuntimeError if one does not end."""
        self._site.stopping.set()
        self.shutdown()
        self._acceptor.join()
        self.server_close()
        with self._lock:
            workers = tuple(self._workers)
            for connection in self._open:
                # Not SSLSocket.shutdown: it removes the TLS layer under a thread that may be writing, and the
                # rest of its reply would be sent in plain text.
                try:
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
                except OSError:
                    continue  # its own thread has closed it
        for worker in workers:
            worker.join(_JOIN_S)
            if worker.is_alive():
                raise RuntimeError("a connection of the emulator did not end")

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Give an accepted connection its thread, which does the handshake."""
        if not isinstance(request, socket.socket):  # a UDP server's request
            raise TypeError("a TCP server gets sockets")
        worker = threading.Thread(
            target=self._work,
            args=(request, client_address),
            name="irmemulator-connection",
            daemon=True,
        )
        with self._lock:
            self._site.connections += 1
            self._open.add(request)
            self._workers = {each for each in self._workers if each.is_alive()}
            self._workers.add(worker)
            # Within the lock: a thread that has not started looks dead to the line that removes dead ones.
            worker.start()

    def _work(self, request: socket.socket, client_address: object) -> None:
        tls: ssl.SSLSocket | None = None
        try:
            request.settimeout(self._site.handshake_timeout)
            tls = self._wrap(request)
            tls.do_handshake()
            tls.settimeout(self._site.idle_timeout)
            HttpConnection(tls, client_address, self, self._site)
            close_in_order(tls)
        except OSError:
            # The client is gone, hangs, or does not speak TLS. There is nobody to tell.
            return
        except Exception as error:  # noqa: BLE001 - a defect of ours is reported, not hidden
            self._site.note_failure(error)
        finally:
            with self._lock:
                self._open.discard(request if tls is None else tls)
            request.close()
            if tls is not None:
                tls.close()

    def _wrap(self, request: socket.socket) -> ssl.SSLSocket:
        # In one step with the change of `_open`, so that `stop` finds whichever socket owns the descriptor.
        with self._lock:
            if self._site.stopping.is_set():
                raise ConnectionAbortedError
            tls = self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            self._open.discard(request)
            self._open.add(tls)
            return tls
