"""GET and POST over verified TLS with a pool of connections. No redirects, no retries of its own.

What fails before there is an answer is told as :class:`Unreachable`, in irmcore's words for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import urllib3
from irmcore import __version__
from irmcore.transport import default_ca_file, failure

CONNECT_SECONDS = 15.0
#: Seconds for one request and its whole answer.
DEADLINE = 120.0
#: A content blob has some hundred records; an answer far larger is none.
MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end. Header names are lower case."""

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

    def ask(self, method: str, url: str, token: str) -> Answer: ...


class PooledHttp:
    """urllib3, for any number of threads. The environment's proxies and CA bundles are not looked at."""

    def __init__(self, connections: int, *, ca_file: str | None, proxy: str | None) -> None:
        self._deadline = DEADLINE
        settings: dict[str, Any] = {
            "maxsize": connections,
            "block": True,
            "cert_reqs": "CERT_REQUIRED",
            "ca_certs": ca_file or default_ca_file(),
            "timeout": urllib3.Timeout(connect=CONNECT_SECONDS, read=DEADLINE),
            "retries": False,
        }
        self._pool: urllib3.PoolManager = (
            urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)
        )

    def ask(self, method: str, url: str, token: str) -> Answer:
        """One request. Raises Unreachable."""
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"irmexport/{__version__}",
        }
        if method == "POST":
            headers["Content-Length"] = "0"
        end = time.monotonic() + self._deadline
        try:
            response = self._pool.request(
                method, url, headers=headers, redirect=False, preload_content=False, decode_content=True
            )
            try:
                body = self._read(response, end)
            except BaseException:
                response.close()  # a connection with half an answer serves nobody
                raise
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(failure(error, committed=False, expired=False).kind) from None
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, names, body)

    def _read(self, response: urllib3.BaseHTTPResponse, end: float) -> bytes:
        parts, size = [], 0
        for part in response.stream(65_536):
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise Unreachable("too-large")
            if time.monotonic() > end:
                raise Unreachable("timeout")
        return b"".join(parts)

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()
