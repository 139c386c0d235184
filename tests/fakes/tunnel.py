"""A proxy that leads Microsoft's host names to a fake on this machine.

Clients are given it as their proxy, and the fake's CA as theirs, so nothing in them knows that it is a fake.
"""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from collections.abc import Container
from types import TracebackType
from typing import Self


class Tunnel(socketserver.ThreadingTCPServer):
    """Tunnels CONNECT for these names to a port of this machine, and refuses every other name.

    A context manager.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, names: Container[str], port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.names = names
        self.target = port

    def __enter__(self) -> Self:
        threading.Thread(target=lambda: self.serve_forever(0.05), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """The proxy, as http://host:port."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Connection(socketserver.StreamRequestHandler):
    server: Tunnel

    def handle(self) -> None:
        host = self.rfile.readline().split(b" ")[1].decode().partition(":")[0]
        while self.rfile.readline().strip():
            pass
        if host not in self.server.names:
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.server.target)) as there:
            ends = {self.connection: there, there: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(65_536)
                    if not data:
                        return
                    ends[end].sendall(data)
