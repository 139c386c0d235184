"""HTTP exchanges with a deadline that holds wherever they hang: connecting, TLS, sending or reading.

A deadline shuts down the connections of its exchange from another thread, so a blocked call returns at once.
No exchange follows redirects, retries, or takes a proxy, a CA bundle or a login from the environment.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from irmcore.errors import ConfigurationError
from irmcore.ownership import require_own

CONNECT_SECONDS = 30.0
#: An answer of the login host has a few kilobytes.
MAX_TOKEN_BYTES = 1024 * 1024
#: Asks for a reply that is not compressed.
PLAIN: Mapping[str, str] = {"Accept-Encoding": "identity"}


class OpenConnections:
    """The connections of one exchange, which another thread can shut down.

    It holds a second descriptor of each connection. Shutting that down wakes a thread that waits in the
    first one, even during the TLS handshake.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.expired = False

    def add(self, sock: socket.socket) -> None:
        with self._lock:
            self._sockets.append(sock.dup())
            if self.expired:
                _shut_down(self._sockets[-1])

    def expire(self) -> None:
        """The deadline has passed: shut down all connections, and those that are still to come."""
        self.expired = True
        self.shut_down()

    def shut_down(self) -> None:
        """Shut down all connections, including those still in use."""
        with self._lock:
            for sock in self._sockets:
                _shut_down(sock)

    def close(self) -> None:
        """Close the second descriptors."""
        with self._lock:
            for sock in self._sockets:
                sock.close()
            self._sockets.clear()


def _shut_down(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the connection is gone already


def _reporting(connections: OpenConnections, base: type[Any]) -> type[Any]:
    """A connection pool class that adds each new socket to ``connections``."""

    class Connection(base.ConnectionCls):  # type: ignore[misc,name-defined]
        def _new_conn(self) -> socket.socket:
            sock: socket.socket = super()._new_conn()
            connections.add(sock)
            return sock

    return type("ReportingPool", (base,), {"ConnectionCls": Connection})


class _Adapter(HTTPAdapter):
    """requests' adapter with reporting connections and without retries."""

    def __init__(self, connections: OpenConnections) -> None:
        self._connections = connections
        super().__init__(max_retries=urllib3.Retry(0, read=False, redirect=False))

    def _pool_classes(self) -> dict[str, type[Any]]:
        pools: Mapping[str, type[Any]] = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
        return {scheme: _reporting(self._connections, pool) for scheme, pool in pools.items()}

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes()

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pool_classes()
        return manager


class Exchange:
    """A requests session for one exchange, which ends at its deadline (in seconds).

    ``trust_env`` is off: a CA bundle, a proxy or a ~/.netrc of the environment must not overrule the
    profile.
    """

    def __init__(self, *, ca_file: str | None, proxy: str | None, deadline: float) -> None:
        self._connections = OpenConnections()
        self._deadline = deadline
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = ca_file if ca_file is not None else True
        # Plain HTTP is only an Azure machine's own identity endpoint, which no proxy can reach.
        self.session.proxies = {"https": proxy} if proxy else {}
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, _Adapter(self._connections))
        self._timer = threading.Timer(deadline, self._connections.expire)
        self._timer.daemon = True
        self._end = time.monotonic() + deadline

    def __enter__(self) -> Exchange:  # noqa: PYI034 - typing.Self is not in 3.9
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self.session.close()
        self._connections.shut_down()  # a library that holds on to a response also holds its connection
        self._connections.close()

    @property
    def expired(self) -> bool:
        return self._connections.expired or time.monotonic() >= self._end

    @property
    def timeout(self) -> tuple[float, float]:
        return min(CONNECT_SECONDS, self._deadline), self._deadline


def read_plain(response: requests.Response, limit: int) -> Iterator[bytes]:
    """The body as it was sent, in blocks, up to ``limit`` bytes. Raises what urllib3 raises.

    Not by ``iter_content``: that decompresses, and parses chunks itself, and urllib3 2.6.3, the last for
    Python 3.9, has known faults in both (SECURITY.md). So the request must ask for ``PLAIN``.
    """
    while limit > 0:
        block = response.raw.read(min(1024, limit), decode_content=False)
        if not block:
            return
        limit -= len(block)
        yield block


class TokenHttp:
    """The HTTP client for MSAL: each request is an exchange of its own. ``deadline`` in seconds.

    Raises ConfigurationError if others may change the CA file: they would decide who gets the secret.
    """

    def __init__(self, *, ca_file: str | None, proxy: str | None, deadline: float) -> None:
        require_own_ca(ca_file)
        self._settings: dict[str, Any] = {"ca_file": ca_file, "proxy": proxy, "deadline": deadline}

    def get(self, url: str, **kwargs: Any) -> requests.Response:
        return self._request("GET", url, **kwargs)

    def post(self, url: str, **kwargs: Any) -> requests.Response:
        return self._request("POST", url, **kwargs)

    def close(self) -> None:
        """Nothing stays open between requests."""

    def _request(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        kwargs.pop("timeout", None)
        with Exchange(**self._settings) as exchange:
            exchange.session.headers.update(PLAIN)
            response = exchange.session.request(
                method, url, timeout=exchange.timeout, allow_redirects=False, stream=True, **kwargs
            )
            body = b"".join(read_plain(response, MAX_TOKEN_BYTES + 1))
            compressed = response.headers.get("Content-Encoding", "identity") != "identity"
            if compressed or len(body) > MAX_TOKEN_BYTES:
                raise requests.exceptions.ContentDecodingError("the answer is too large, or compressed")
            response._content = body  # noqa: SLF001 - requests has no public way to set what was read
            return response


def read_bounded(response: requests.Response, limit: int) -> None:
    """Read a streamed body, at most ``limit`` bytes decompressed. Raises RequestException, an OSError."""
    parts, size = [], 0
    for part in response.iter_content(65_536):
        size += len(part)
        if size > limit:
            raise requests.exceptions.ContentDecodingError(f"the answer has more than {limit:,} bytes")
        parts.append(part)
    response._content = b"".join(parts)  # noqa: SLF001 - requests has no public way to set what was read


def require_own_ca(ca_file: str | None) -> None:
    """Raises ConfigurationError if there is such a file and it is not the user's own."""
    if ca_file is not None:
        require_own(ca_file, "CA file", ConfigurationError, link=True)


def default_ca_file() -> str:
    """The file of the certificate authorities that are trusted unless a profile names another."""
    return str(DEFAULT_CA_BUNDLE_PATH)
