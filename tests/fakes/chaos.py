"""A proxy that treats connections as bad networks do: it cuts after any byte, slows down or refuses.

As a relay it forwards bytes to one server unchanged, so that TLS is end to end.
With ``answer`` it is an HTTP proxy that replies to CONNECT with it; a 200 opens the tunnel.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass
from types import TracebackType

_RESET = struct.pack("ii", 1, 0)
CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(frozen=True)
class Weather:
    """What happens to a connection. Bytes count from 0 in each direction; times are seconds between pieces.

    ``up_cut``: passed on from the client, then both ends are cut off; ``down_cut``: the same for what comes
    back. ``reset``: by RST; else in order. ``drip``: bytes back to the client one at a time, so many seconds
    apart. ``hang``: after the cut nothing more is passed on, and nothing is closed. ``answer``: to a CONNECT.
    """

    up_cut: int | None = None
    down_cut: int | None = None
    reset: bool = True
    drip: float = 0.0
    hang: bool = False
    answer: bytes | None = None


@dataclass
class Passed:
    """The bytes of one connection, and what the client sent to the proxy before."""

    up: int = 0
    down: int = 0
    asked: bytes = b""


class ChaosProxy:
    """On loopback, in front of ``upstream``. ``weather`` applies to new connections."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self.weather = Weather()
        self.passed: list[Passed] = []
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(0.05)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """The relay's address, which a client takes for the server's."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def proxy(self) -> str:
        """The address of the HTTP proxy."""
        return f"http://127.0.0.1:{self.port}"

    def wait_until_idle(self, seconds: float = 10.0) -> None:
        """Wait until all connections have ended. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while any(thread.is_alive() for thread in self._threads[1:]):
            if time.monotonic() > end:
                raise TimeoutError("a connection did not end")
            time.sleep(0.002)

    def __enter__(self) -> ChaosProxy:  # noqa: PYI034 - typing.Self is not in 3.9
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                continue  # nobody connected within the timeout
            passed = Passed()
            self.passed.append(passed)
            thread = threading.Thread(target=self._serve, args=(client, self.weather, passed), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket, weather: Weather, passed: Passed) -> None:
        with client:
            try:
                if weather.answer is not None and not self._tunnel(client, weather.answer, passed):
                    return
                with socket.create_connection(self._upstream, timeout=10) as server:
                    for end in (client, server):  # forward small pieces at once, not after 40 ms
                        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._relay(client, server, weather, passed)
            except OSError:
                return  # one end has closed, which ends the connection

    def _tunnel(self, client: socket.socket, answer: bytes, passed: Passed) -> bool:
        """Read a CONNECT, send the reply, and return whether a tunnel was opened."""
        client.settimeout(10)
        while b"\r\n\r\n" not in passed.asked:
            piece = client.recv(4096)
            if not piece:
                return False
            passed.asked += piece
        client.sendall(answer)
        return answer.startswith(b"HTTP/1.1 200")

    def _relay(self, client: socket.socket, server: socket.socket, weather: Weather, passed: Passed) -> None:
        """Forward bytes until both ends are done or the weather ends the connection."""
        with selectors.DefaultSelector() as ready:
            for end in (client, server):
                ready.register(end, selectors.EVENT_READ)
            while ready.get_map() and not self._stopping.is_set():
                if weather.up_cut == passed.up or weather.down_cut == passed.down:
                    self._cut(client, server, weather)
                    return
                for key, _ in ready.select(0.05):
                    up = key.fileobj is client
                    if self._pass_on(client, server, weather, passed, up=up):
                        continue
                    ready.unregister(key.fileobj)
                    (server if up else client).shutdown(socket.SHUT_WR)

    def _pass_on(
        self, client: socket.socket, server: socket.socket, weather: Weather, passed: Passed, *, up: bool
    ) -> bool:
        """Forward one piece. Returns False at the end of this side's data."""
        source, target = (client, server) if up else (server, client)
        cut, so_far = (weather.up_cut, passed.up) if up else (weather.down_cut, passed.down)
        room = 65_536 if cut is None else min(cut - so_far, 65_536)
        if not room:
            return True  # the cut is due, and the loop sees it
        piece = source.recv(room)
        if not piece:
            return False
        # Counted before it is sent: who has an answer can ask for its size.
        passed.up += len(piece) if up else 0
        passed.down += 0 if up else len(piece)
        if up or not weather.drip:
            target.sendall(piece)
        else:
            for at in range(len(piece)):
                target.sendall(piece[at : at + 1])
                if self._stopping.wait(weather.drip):
                    break
        return True

    def _cut(self, client: socket.socket, server: socket.socket, weather: Weather) -> None:
        if weather.hang:
            self._stopping.wait(60)
            return
        for end in (client, server):
            if weather.reset:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.close()
