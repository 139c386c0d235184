"""The chaos proxy forwards bytes unchanged, and cuts where it should."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.fakes.chaos import CONNECTED, ChaosProxy, Weather


class Echo:
    """A server that echoes what it gets with upper and lower case swapped."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.got.append(b"")
            with closing(connection):
                try:
                    while True:
                        piece = connection.recv(4096)
                        self.got[-1] += piece
                        if not piece:
                            break
                        connection.sendall(piece.swapcase())
                except OSError:
                    continue

    def wait_for_connection(self) -> None:
        """Wait until a connection was accepted. The proxy may be done with it before that."""
        end = time.monotonic() + 5
        while not self.got and time.monotonic() < end:
            time.sleep(0.002)

    def close(self) -> None:
        """The proxy ends after running transfers, and ending it twice does no harm."""
        if self._thread.is_alive():
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A server behind the proxy."""
    made = Echo()
    yield made
    made.close()


@contextmanager
def client(proxy: ChaosProxy) -> Iterator[socket.socket]:
    """A connection to the proxy."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as line:
        yield line


def all_of(line: socket.socket) -> tuple[bytes, bool]:
    """Everything that arrives until the end, and whether that was a reset."""
    got = b""
    try:
        while piece := line.recv(4096):
            got += piece
    except ConnectionResetError:
        return got, True
    return got, False


def test_bytes_pass_unchanged(echo: Echo) -> None:
    """In fine weather the proxy has no effect, even after one side has ended."""
    data = bytes(range(256)) * 1000
    with ChaosProxy(echo.address) as proxy, client(proxy) as line:
        threading.Thread(target=lambda: (line.sendall(data), line.shutdown(socket.SHUT_WR))).start()
        assert all_of(line) == (data.swapcase(), False)
        proxy.wait_until_idle()
        assert (proxy.passed[0].up, proxy.passed[0].down) == (len(data), len(data))


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("cut", [0, 1, 7, 9])
def test_cut_while_uploading(echo: Echo, cut: int, *, reset: bool) -> None:
    """Exactly this many bytes reach the server, and the client sees a reset or a normal end."""
    with ChaosProxy(echo.address) as proxy:
        proxy.weather = Weather(up_cut=cut, reset=reset)
        try:
            with client(proxy) as line:
                line.sendall(b"abcdefghij")
                _, was_reset = all_of(line)
        except (ConnectionResetError, BrokenPipeError):
            was_reset = True  # connect() and send() may already see an immediate reset
        proxy.wait_until_idle()
    echo.wait_for_connection()
    echo.close()
    assert echo.got == [b"abcdefghij"[:cut]]
    assert was_reset or not reset


@pytest.mark.parametrize("cut", [0, 1, 5])
def test_cut_while_downloading(echo: Echo, cut: int) -> None:
    """The server gets everything, and this many bytes come back."""
    with ChaosProxy(echo.address) as proxy:
        proxy.weather = Weather(down_cut=cut, reset=False)
        with client(proxy) as line:
            line.sendall(b"abcdefghij")
            got, _ = all_of(line)
            proxy.wait_until_idle()
        assert got == b"ABCDEFGHIJ"[:cut]
        assert proxy.passed[0].down == cut


def test_a_line_that_hangs(echo: Echo) -> None:
    """After the cut nothing arrives and nothing ends until the proxy does."""
    with ChaosProxy(echo.address) as proxy:
        proxy.weather = Weather(down_cut=2, hang=True)
        with client(proxy) as line:
            line.sendall(b"abcdef")
            assert line.recv(10) == b"AB"
            line.settimeout(0.2)
            with pytest.raises(TimeoutError):
                line.recv(10)


def test_a_line_that_drips(echo: Echo) -> None:
    """Bytes come back one at a time."""
    with ChaosProxy(echo.address) as proxy:
        proxy.weather = Weather(drip=0.05)
        with client(proxy) as line:
            line.sendall(b"abcd")
            begin = time.monotonic()
            got = [line.recv(10) for _ in range(4)]
    assert got == [b"A", b"B", b"C", b"D"]
    assert time.monotonic() - begin > 0.1


def test_a_connect_is_answered_and_tunnelled(echo: Echo) -> None:
    """A 200 opens the tunnel to the server, and the request is recorded."""
    with ChaosProxy(echo.address) as proxy:
        proxy.weather = Weather(answer=CONNECTED)
        with client(proxy) as line:
            line.sendall(b"CONNECT host.test:443 HTTP/1.1\r\n\r\n")
            assert line.recv(100) == CONNECTED
            line.sendall(b"abc")
            assert line.recv(10) == b"ABC"
        assert proxy.passed[0].asked.startswith(b"CONNECT host.test:443")


def test_a_connect_that_is_refused(echo: Echo) -> None:
    """Any other reply ends the connection, and the server sees nothing."""
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
    with ChaosProxy(echo.address) as proxy:
        proxy.weather = Weather(answer=refusal)
        with client(proxy) as line:
            line.sendall(b"CONNECT host.test:443 HTTP/1.1\r\n\r\n")
            assert all_of(line) == (refusal, False)
    assert echo.got == []
