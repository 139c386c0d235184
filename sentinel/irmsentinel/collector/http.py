"""GET and POST over verified TLS with a pool of connections. No redirects and no retries.

A request without an answer raises :class:`Unreachable`, with irmcore's word for the failure.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import urllib3
from irmcore import __version__
from irmcore.http.deadlines import OpenConnections, default_ca_file
from irmcore.http.failures import to_failure
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

CONNECT_SECONDS = 15.0
#: Seconds for one request and its whole answer.
DEADLINE = 120.0
#: A content blob has some hundred records; no limit is published. A far larger answer does not come from the
#: API. One answer at a time may be longer than SMALL_BYTES, so that those of all connections fit in memory.
SMALL_BYTES, MAX_BYTES = 2 * 1024 * 1024, 32 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreachable(Exception):
    """No answer: ``kind`` is dns, refused, tls, proxy, proxy-auth, reset, timeout, protocol or too-large."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Http(Protocol):
    """The seam to the network."""

    def request(self, method: str, url: str, token: str, max_bytes: int = MAX_BYTES) -> Answer: ...

    def close(self) -> None: ...


class _Current(threading.local):
    """The watch on this thread's current request."""

    watched: OpenConnections


class _Connection(HTTPSConnection):
    """A connection whose current request can be aborted at any point by its watch."""

    current = _Current()
    _spare: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._spare = sock.dup()  # TLS detaches the first descriptor
        self.current.watched.add(sock)
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self._spare is not None:
            self.current.watched.add(self._spare)
        super().request(*args, **kwargs)

    def close(self) -> None:
        super().close()
        if self._spare is not None:
            self._spare.close()
            self._spare = None


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


class PooledHttp:
    """urllib3 for any number of threads, without proxies and CA bundles from the environment."""

    def __init__(
        self, connections: int, *, ca_file: str | None, proxy: str | None, deadline: float = DEADLINE
    ) -> None:
        """``deadline`` in seconds for one request and its whole answer, however slowly it arrives."""
        self._deadline = deadline
        settings: dict[str, Any] = {
            "maxsize": connections,
            "block": True,
            "cert_reqs": "CERT_REQUIRED",
            "ca_certs": ca_file or default_ca_file(),
            "timeout": urllib3.Timeout(connect=min(CONNECT_SECONDS, deadline), read=deadline),
            "retries": False,
        }
        self._pool: urllib3.PoolManager = (
            urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)
        )
        self._pool.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": _Pool}

    def request(self, method: str, url: str, token: str, max_bytes: int = MAX_BYTES) -> Answer:
        """One request. Raises Unreachable, also if the body has more than ``max_bytes``."""
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"irmexport/{__version__}",
        }
        if method == "POST":
            headers["Content-Length"] = "0"
        watched = _Connection.current.watched = OpenConnections()
        timer = threading.Timer(self._deadline, watched.expire)
        timer.daemon = True
        timer.start()
        try:
            response = self._pool.request(
                method, url, headers=headers, redirect=False, preload_content=False, decode_content=True
            )
            try:
                body = _read(response, watched, max_bytes)
            except BaseException:
                response.close()  # the rest of this answer would precede the next one
                raise
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(to_failure(error, committed=False, expired=watched.expired).kind) from None
        finally:
            timer.cancel()
            watched.close()
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, names, body)

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()


def _read(response: urllib3.BaseHTTPResponse, watched: OpenConnections, max_bytes: int) -> bytes:
    """The whole body. Raises Unreachable."""
    parts, size = [], 0
    for part in response.stream(65_536):
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise Unreachable("too-large")
    if watched.expired:  # an answer that ends with its connection looks complete
        raise Unreachable("timeout")
    return b"".join(parts)
