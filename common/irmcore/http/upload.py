"""One upload over HTTPS: a multipart POST with verified TLS, and nothing that could repeat it.

No redirects, no retries, a connection of its own, one deadline for the whole. The body has a known
length and says, before it hands out its last bytes, that the outcome will from now on be in doubt:
until then the service has less than Content-Length, so it cannot have accepted the file.
What went wrong is told as a value (:class:`irmcore.delivery.replies.Failure`), in one place: ``failure``.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import (
    Any,
    BinaryIO,
    Callable,
    Protocol,
)

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from irmcore.delivery.replies import Failure, Outcome, Reply, retry_after

#: The bytes at the end of the body that are handed out only after COMMIT is durable.
TAIL_BYTES = 64
#: Of a reply's body, as much as an operator may want to read.
REPLY_BYTES = 4096
CONNECT_SECONDS = 30.0


@dataclass(frozen=True)
class Upload:
    """What is posted: ``url`` with its query, the bearer ``token``, one file of ``length`` bytes.

    ``deadline`` is the seconds for all of it.
    """

    url: str
    token: str = field(repr=False)
    file_name: str
    content_type: str
    content: BinaryIO = field(repr=False)
    length: int
    deadline: float


class Transport(Protocol):
    """The seam to the network."""

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome: ...


class Body:
    """A multipart/form-data body of one part ``file``: readable, of known length, with a COMMIT point."""

    def __init__(self, upload: Upload, commit: Callable[[], None]) -> None:
        # 128 random bits: that the boundary stands in the file is as likely as guessing a key.
        self.boundary = f"irmexport-{secrets.token_hex(16)}"
        head = (
            f"--{self.boundary}\r\n"
            f'Content-Disposition: form-data; name="file"; filename="{upload.file_name}"\r\n'
            f"Content-Type: {upload.content_type}\r\n\r\n"
        )
        tail = f"\r\n--{self.boundary}--\r\n"
        self._head, self._tail = head.encode("ascii"), tail.encode("ascii")
        self._content = upload.content
        self._left = upload.length
        self._length = len(self._head) + upload.length + len(self._tail)
        self._given = 0
        self._commit = commit
        self._buffer = self._head
        self.committed = False

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        while True:
            block = self.read(65_536)
            if not block:
                return
            yield block

    def read(self, size: int = -1) -> bytes:
        """The next bytes; the tail only after the commit callback has returned."""
        if size < 0:
            size = self._length
        safe = self._length - TAIL_BYTES - self._given
        if safe > 0:
            size = min(size, safe)
        elif not self.committed and self._given < self._length:
            self._commit()
            self.committed = True
        block = self._next(size)
        self._given += len(block)
        return block

    def _next(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if self._left:
                more = self._content.read(min(self._left, max(size, 65_536)))
                if not more:
                    raise EOFError("the payload is shorter than its length")
                self._left -= len(more)
            elif self._tail:
                more, self._tail = self._tail, b""
            else:
                break
            self._buffer += more
        block, self._buffer = self._buffer[:size], self._buffer[size:]
        return block


class Watched:
    """The connections of one exchange, so that a deadline can end it wherever it waits.

    It keeps a second descriptor of each connection: shutting that down wakes whoever waits in the
    first one, in the TLS handshake too.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.expired = False

    def add(self, sock: socket.socket) -> None:
        with self._lock:
            self._sockets.append(sock.dup())
            if self.expired:
                _shut(self._sockets[-1])

    def expire(self) -> None:
        self.expired = True
        self.end()

    def end(self) -> None:
        """End all connections, whoever still has them open."""
        with self._lock:
            for sock in self._sockets:
                _shut(sock)

    def close(self) -> None:
        with self._lock:
            for sock in self._sockets:
                sock.close()
            self._sockets.clear()


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the connection is gone already, which is what was wanted


def _watching(watched: Watched, base: type[Any]) -> type[Any]:
    """A connection pool class whose connections report their socket to ``watched``."""

    class Connection(base.ConnectionCls):  # type: ignore[misc,name-defined]
        def _new_conn(self) -> socket.socket:
            sock: socket.socket = super()._new_conn()
            watched.add(sock)
            return sock

    return type("WatchedPool", (base,), {"ConnectionCls": Connection})


class _Adapter(HTTPAdapter):
    """requests' adapter with watched connections and no retries."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        super().__init__(max_retries=urllib3.Retry(0, read=False, redirect=False))

    def _classes(self) -> dict[str, type[Any]]:
        pools: Mapping[str, type[Any]] = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
        return {scheme: _watching(self._watched, pool) for scheme, pool in pools.items()}

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._classes()

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._classes()
        return manager


class Exchange:
    """A requests session for one exchange, ended at its deadline. Also what MSAL is given.

    ``trust_env`` is off: a CA bundle, a proxy or a ~/.netrc of the environment must not overrule the
    profile.
    """

    def __init__(self, *, ca_file: str | None, proxy: str | None, deadline: float) -> None:
        self._watched = Watched()
        self._deadline = deadline
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = ca_file if ca_file is not None else True
        self.session.proxies = {"http": proxy, "https": proxy} if proxy else {}
        self.session.mount("https://", _Adapter(self._watched))
        self._timer = threading.Timer(deadline, self._watched.expire)
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
        self._watched.end()  # a library that keeps an answer keeps its connection
        self._watched.close()

    @property
    def expired(self) -> bool:
        return self._watched.expired or time.monotonic() >= self._end

    @property
    def timeout(self) -> tuple[float, float]:
        return min(CONNECT_SECONDS, self._deadline), self._deadline


class TokenHttp:
    """The HTTP client that MSAL is given: each request is an exchange of its own."""

    def __init__(self, *, ca_file: str | None, proxy: str | None, deadline: float) -> None:
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
            return exchange.session.request(
                method, url, timeout=exchange.timeout, allow_redirects=False, **kwargs
            )


def default_ca_file() -> str:
    """The file of the certificate authorities that are trusted unless a profile names another."""
    return str(DEFAULT_CA_BUNDLE_PATH)


class HttpsTransport:
    """Uploads over requests. ``proxy`` as http://host:port; ``ca_file`` replaces the built-in CAs."""

    def __init__(self, *, ca_file: str | None = None, proxy: str | None = None, user_agent: str) -> None:
        self._ca_file = ca_file
        self._proxy = proxy
        self._user_agent = user_agent

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
        """Send ``upload``; ``commit`` is called, once, before its last bytes leave.

        What ``commit`` raises (a full disk) is raised; nothing else is.
        """
        refused: list[BaseException] = []

        def guarded() -> None:
            try:
                commit()
            except BaseException as error:
                refused.append(error)
                raise

        body = Body(upload, guarded)
        with Exchange(ca_file=self._ca_file, proxy=self._proxy, deadline=upload.deadline) as exchange:
            try:
                return self._exchange(exchange, upload, body)
            except Exception as error:  # noqa: BLE001 - one border: what is new becomes "protocol"
                if refused:
                    raise refused[0] from None
                return failure(error, committed=body.committed, expired=exchange.expired)

    def _exchange(self, exchange: Exchange, upload: Upload, body: Body) -> Reply:
        response = exchange.session.post(
            upload.url,
            data=body,
            headers={
                "Authorization": f"Bearer {upload.token}",
                "Content-Type": f"multipart/form-data; boundary={body.boundary}",
                "User-Agent": self._user_agent,
                "Accept": "*/*",
                "Connection": "close",
            },
            timeout=exchange.timeout,
            allow_redirects=False,
            stream=True,
        )
        text = _beginning(response)
        return Reply(
            status=response.status_code,
            request_id=_request_id(response.headers),
            text=text,
            page=_is_page(response.headers.get("Content-Type", ""), text),
            wait=retry_after(response.headers.get("Retry-After"), time.time()),
            committed=body.committed,
        )


def _is_page(content_type: str, text: str) -> bool:
    """Whether an answer is HTML, by its type or by how it begins."""
    return "html" in content_type.lower() or text.lstrip().lower().startswith(("<!doctype html", "<html"))


def _request_id(headers: Mapping[str, str]) -> str:
    for name in (
        "request-id",
        "x-ms-request-id",
        "x-ms-correlation-request-id",
        "client-request-id",
    ):
        if headers.get(name):
            return headers[name][:64]
    return ""


def _beginning(response: requests.Response) -> str:
    """The beginning of a reply's body; a body that breaks off does not undo the status before it."""
    read = b""
    try:
        for block in response.iter_content(1024):
            read += block
            if len(read) >= REPLY_BYTES:
                break
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        read += b" (the reply breaks off here)"
    return read[:REPLY_BYTES].decode("utf-8", "replace")


#: What stands in an exception's chain → what it is called. The first match counts.
_KINDS = (
    (urllib3.exceptions.NameResolutionError, "dns"),
    (socket.gaierror, "dns"),
    (ssl.SSLCertVerificationError, "tls"),
    (TimeoutError, "timeout"),
    (socket.timeout, "timeout"),  # a class of its own before Python 3.10
    (ConnectionRefusedError, "refused"),
    (urllib3.exceptions.NewConnectionError, "refused"),  # before its base, a time-out by history
    (urllib3.exceptions.TimeoutError, "timeout"),
    (requests.Timeout, "timeout"),
    (ConnectionError, "reset"),
    (ssl.SSLEOFError, "reset"),
    (ssl.SSLZeroReturnError, "reset"),
    (ssl.SSLError, "tls"),
    (urllib3.exceptions.SSLError, "tls"),
    (requests.exceptions.SSLError, "tls"),
    (urllib3.exceptions.ProtocolError, "reset"),
)


def failure(error: BaseException, *, committed: bool, expired: bool) -> Failure:
    """What ``error`` of the libraries below is in our words; no text of theirs is kept."""
    if expired:
        return Failure("timeout", committed)
    chain = list(_chain(error))
    if any(
        isinstance(link, (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)) for link in chain
    ):
        refused = any("failed: 407" in str(link) for link in chain)
        return Failure("proxy-auth" if refused else "proxy", committed)
    for kind, name in _KINDS:
        if any(isinstance(link, kind) for link in chain):
            return Failure(name, committed)
    return Failure("protocol", committed)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it came from: causes, contexts, wrapped reasons and arguments."""
    seen: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        link = todo.pop()
        if not isinstance(link, BaseException) or any(link is known for known in seen):
            continue
        seen.append(link)
        yield link
        todo.extend([link.__cause__, link.__context__, getattr(link, "reason", None), *link.args])
