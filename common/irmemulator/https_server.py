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
import traceback
from collections.abc import Collection

from irmemulator.connection_faults import close_in_order
from irmemulator.http_connection import HttpConnection, Site
from irmemulator.routing import Service

_POLL_S = 0.05
_JOIN_S = 10.0


class HttpsServer(socketserver.TCPServer):
    """Accepts connections and gives each a thread of its own."""

    allow_reuse_address = True  # a restart on the same port must not wait for old connections
    request_queue_size = 128

    def __init__(  # noqa: PLR0913 - all by name but the first three
        self,
        address: tuple[str, int],
        context: ssl.SSLContext,
        service: Service,
        *,
        hosts: Collection[str],
        handshake_timeout: float,
        idle_timeout: float,
    ) -> None:
        """Bind and listen.

        Args:
            address: A loopback address and a port; 0: any free one.
            context: The server's TLS.
            service: What answers.
            hosts: The names and addresses that clients may use, in lower case.
            handshake_timeout: Seconds a TLS handshake may take.
            idle_timeout: Seconds a connection may be silent before it is closed.

        Raises:
            OSError: The address is taken.
        """
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._handshake_timeout, self._idle_timeout = handshake_timeout, idle_timeout
        self._stopping = threading.Event()
        self._context = context
        self._lock = threading.Lock()
        self._connections = 0
        self._failures: list[str] = []
        self._open: set[socket.socket] = set()
        self._workers: set[threading.Thread] = set()
        # The handler class is never used: process_request gives each connection to _work.
        super().__init__(address, socketserver.BaseRequestHandler)
        self._site = Site(service, self.base_url, hosts, self._stopping, self.note_failure)
        self._acceptor = threading.Thread(
            target=self.serve_forever, args=(_POLL_S,), name="irmemulator-accept", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    @property
    def base_url(self) -> str:
        """The server's address as a URL without a path."""
        host = str(self.server_address[0])
        return f"https://[{host}]:{self.port}" if ":" in host else f"https://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted."""
        with self._lock:
            return self._connections

    @property
    def failures(self) -> tuple[str, ...]:
        """Defects of the emulator that requests met: the exception's type and place."""
        with self._lock:
            return tuple(self._failures)

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    def stop(self) -> None:
        """End every connection and wait for the threads.

        Raises:
            RuntimeError: A thread did not end.
        """
        self._stopping.set()
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
            self._connections += 1
            self._open.add(request)
            self._workers = {each for each in self._workers if each.is_alive()}
            self._workers.add(worker)
            # Within the lock: a thread that has not started looks dead to the line that removes dead ones.
            worker.start()

    def note_failure(self, error: Exception) -> None:
        """Remember a defect by type and place. Its text could quote a row."""
        at = traceback.extract_tb(error.__traceback__)[-1]
        with self._lock:
            self._failures.append(f"{type(error).__name__} in {at.name}, line {at.lineno}")

    def _work(self, request: socket.socket, client_address: object) -> None:
        tls: ssl.SSLSocket | None = None
        try:
            request.settimeout(self._handshake_timeout)
            tls = self._wrap(request)
            tls.do_handshake()
            tls.settimeout(self._idle_timeout)
            HttpConnection(tls, client_address, self, self._site)
            close_in_order(tls)
        except OSError:
            # The client is gone, hangs, or does not speak TLS. There is nobody to tell.
            return
        except Exception as error:  # noqa: BLE001 - a defect of ours is reported, not hidden
            self.note_failure(error)
        finally:
            with self._lock:
                self._open.discard(request if tls is None else tls)
            request.close()
            if tls is not None:
                tls.close()

    def _wrap(self, request: socket.socket) -> ssl.SSLSocket:
        # In one step with the change of `_open`, so that `stop` finds whichever socket owns the descriptor.
        with self._lock:
            if self._stopping.is_set():
                raise ConnectionAbortedError
            tls = self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            self._open.discard(request)
            self._open.add(tls)
            return tls
