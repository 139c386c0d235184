"""Replies that use what urllib3 2.6.3 does not do safely: compression, and chunks with endless sizes."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from irmcore.http.deadlines import MAX_TOKEN_BYTES, PLAIN, Exchange, read_plain


@contextmanager
def replying(reply: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads one request and sends ``reply``: its URL, and the requests it got."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []

    def serve() -> None:
        with listener.accept()[0] as there:
            requests.append(there.recv(65_536))
            try:
                there.sendall(reply)
            except OSError:
                return  # the client had enough

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/", requests
    thread.join(30)
    listener.close()


def read(url: str, limit: int = MAX_TOKEN_BYTES) -> bytes:
    """What an exchange reads of the reply."""
    with Exchange(ca_file=None, proxy=None, deadline=30.0) as exchange:
        response = exchange.session.get(url, headers=PLAIN, stream=True, timeout=exchange.timeout)
        return b"".join(read_plain(response, limit))


HEAD = b"HTTP/1.1 403 No\r\nConnection: close\r\n"


def test_a_compressed_reply_is_not_decompressed() -> None:
    """Nobody asked for one; a bomb stays as small as it was sent."""
    bomb = gzip.compress(bytes(50_000_000))
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with replying(head + bomb) as (url, requests):
        assert read(url) == bomb
    assert b"Accept-Encoding: identity\r\n" in requests[0]


def test_a_chunk_size_without_end() -> None:
    """It is an error after 64 KiB, which http.client allows a line, and not a gigabyte in memory."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    with (
        replying(head + b"0" * 200_000) as (url, _),
        pytest.raises(Exception, match=r"IncompleteRead|Connection"),
    ):
        read(url)


def test_a_chunked_reply_is_read() -> None:
    """As proxies send their pages."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    with replying(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n") as (url, _):
        assert read(url) == b"abcde"


def test_a_reply_is_read_up_to_a_limit() -> None:
    """The rest is left."""
    with replying(HEAD + b"\r\n" + bytes(5_000)) as (url, _):
        assert len(read(url, 2_000)) == 2_000
