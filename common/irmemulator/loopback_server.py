"""An emulator's server from start to stop: what all emulators have in common.

Promised: it listens on loopback only; it is bounded in time when a lifetime is given; once stopped, it has no
thread and no open socket, and it can be started again on the same port with the same CA.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from irmemulator.certificates import Certificates
from irmemulator.fault_queue import Faults
from irmemulator.http_connection import Site
from irmemulator.https_server import HttpsServer
from irmemulator.routing import Service

LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost")


class LoopbackServer:
    """A service over HTTPS on loopback. A context manager: entering starts it, leaving stops it."""

    def __init__(  # noqa: PLR0913 - all by name but the first, and each has a default
        self,
        service: Service,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        directory: Path | str | None = None,
        lifetime: float | None = None,
        names: Sequence[str] = LOOPBACK_NAMES,
        handshake_timeout: float = 5.0,
        idle_timeout: float = 60.0,
    ) -> None:
        """Nothing listens before `start`.

        ``host`` is a loopback address or "localhost"; port 0 is any free one; ``names`` are those that the
        certificate is for. ca.pem and server.pem are written to ``directory`` (made with mode 0700 if absent)
        and left there; None: in a temporary one that is removed at the stop. It stops by itself after
        ``lifetime`` seconds. The timeouts, in seconds, are of a TLS handshake and of a silent connection.
        Raises ValueError if ``host`` is not loopback, or ``lifetime`` not more than 0.
        """
        if lifetime is not None and not 0 < lifetime <= threading.TIMEOUT_MAX:
            raise ValueError("lifetime must be more than 0 seconds")
        self._host = _loopback(host)
        self._port = port
        self._lifetime = lifetime
        #: What is to go wrong.
        self.faults: Faults = service.faults
        self._site = Site(service, tuple(names), handshake_timeout, idle_timeout)
        self._certificates = Certificates(None if directory is None else Path(directory).absolute(), names)
        self._server: HttpsServer | None = None
        self._timer: threading.Timer | None = None
        self._lifecycle = threading.RLock()
        self._stopped = threading.Event()
        self._stopped.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'stopped' if self._server is None else f'at {self.url}'}>"

    def start(self) -> Self:
        """Listen. When it returns, connections are accepted.

        Raises RuntimeError if it runs already, OSError if the port is taken or a file cannot be written.
        """
        with self._lifecycle:
            if self._server is not None:
                raise RuntimeError("the emulator is running already")
            context = self._certificates.write()
            try:
                server = HttpsServer((self._host, self._port), context, self._site)
            except OSError:
                self._certificates.remove()
                raise
            # After a restart the clients' settings must still be right.
            self._port = server.port
            host = f"[{self._host}]" if ":" in self._host else self._host
            self._site.base_url = f"https://{host}:{self._port}"
            self._site.stopping.clear()
            server.start()
            self._server = server
            self._stopped.clear()
            if self._lifetime is not None:
                self._timer = threading.Timer(self._lifetime, self._end_server, args=(server,))
                self._timer.name = "irmemulator-lifetime"
                self._timer.daemon = True
                self._timer.start()
        return self

    def stop(self) -> None:
        """Stop listening, end all connections and wait for every thread. A second call does nothing.

        Raises RuntimeError if a connection's thread does not end.
        """
        with self._lifecycle:
            server, timer = self._server, self._timer
        if server is not None:
            self._end_server(server)
        if timer is not None:
            timer.cancel()
            timer.join()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has stopped, at most ``timeout`` seconds; returns whether it has."""
        return self._stopped.wait(timeout)

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return not self._stopped.is_set()

    @property
    def url(self) -> str:
        """Where it listens, or last did, as `https://127.0.0.1:PORT`. Raises RuntimeError before a start."""
        if not self._site.base_url:
            raise RuntimeError("the emulator was not started yet: call start() first")
        return self._site.base_url

    @property
    def ca_file(self) -> Path:
        """The PEM file of the throw-away CA that clients must trust. Raises RuntimeError before a start.

        Without a directory the file is gone while the server is stopped, and requests then fails for the
        missing file before it connects. To test an outage, give a directory.
        """
        return self._certificates.ca_file

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted, over all starts."""
        return self._site.connections

    @property
    def failures(self) -> tuple[str, ...]:
        """Defects of the emulator that requests met (each got a 500): the exception's type and place."""
        return tuple(self._site.failures)

    def _end_server(self, server: HttpsServer) -> None:
        """Stop one server, once. The timer of the lifetime runs this too."""
        with self._lifecycle:
            if self._server is not server:
                return
            try:
                server.stop()
            finally:
                self._server = None
                self._certificates.remove()
                self._stopped.set()


def _loopback(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        # It issues tokens for made-up secrets and shows uploaded rows to anyone who can connect.
        raise ValueError("the emulator listens on loopback only: 127.0.0.1, ::1 or localhost")
    return host
