"""One upload over HTTPS: a multipart POST with verified TLS, and nothing that could repeat it.

No redirects, no retries, a connection of its own, and one deadline for the whole upload. The length of the
body is known, and its last bytes are handed out only after the commit callback has returned. Until then the
service has too few bytes, so it cannot have accepted the file; from then on the outcome is in
doubt until a reply arrives. What went wrong is a value (:class:`irmcore.http.outcome.Failure`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Callable, Protocol

import requests
import urllib3

from irmcore.http.deadlines import PLAIN, Exchange, read_plain
from irmcore.http.failures import to_failure
from irmcore.http.outcome import REPLY_CHARACTERS, Outcome, Reply, request_id, retry_after

#: The bytes at the end of the body that are handed out only after COMMIT is durable.
TAIL_BYTES = 64


@dataclass(frozen=True)
class Upload:
    """What is posted: ``url`` with its query, the bearer ``token``, and one file of ``length`` bytes.

    ``deadline`` in seconds for the whole upload.
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
    """A multipart/form-data body with one part ``file``: readable, of known length, with a COMMIT point."""

    def __init__(self, upload: Upload, commit: Callable[[], None]) -> None:
        # 128 random bits: the file contains the boundary about as likely as somebody guesses a key.
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
        """The next bytes. The tail follows only after the commit callback has returned."""
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


class HttpsTransport:
    """Uploads through requests. ``proxy`` as http://host:port; ``ca_file`` replaces the built-in CAs."""

    def __init__(self, *, ca_file: str | None = None, proxy: str | None = None, user_agent: str) -> None:
        self._ca_file = ca_file
        self._proxy = proxy
        self._user_agent = user_agent

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
        """Send ``upload``, and call ``commit`` once before its last bytes leave.

        Raises what ``commit`` raises (such as a full disk), and nothing else.
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
            except Exception as error:  # noqa: BLE001 - the border: an unknown one becomes "protocol"
                if refused:
                    raise refused[0] from None
                return to_failure(error, committed=body.committed, expired=exchange.expired)

    def _exchange(self, exchange: Exchange, upload: Upload, body: Body) -> Reply:
        response = exchange.session.post(
            upload.url,
            data=body,
            headers={
                "Authorization": f"Bearer {upload.token}",
                "Content-Type": f"multipart/form-data; boundary={body.boundary}",
                "User-Agent": self._user_agent,
                "Accept": "*/*",
                **PLAIN,
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
            wait=retry_after(response.headers.get("Retry-After"), time.time(), response.headers.get("Date")),
            committed=body.committed,
        )


def _is_page(content_type: str, text: str) -> bool:
    """Whether a reply is HTML, by its type or by its first characters."""
    return "html" in content_type.lower() or text.lstrip().lower().startswith(("<!doctype html", "<html"))


def _request_id(headers: Mapping[str, str]) -> str:
    for name in (
        "request-id",
        "x-ms-request-id",
        "x-ms-correlation-request-id",
        "client-request-id",
    ):
        if headers.get(name):
            return request_id(headers[name])
    return ""


def _beginning(response: requests.Response) -> str:
    """The beginning of a reply's body. A body that breaks off does not change the status before it."""
    read = b""
    try:
        for block in read_plain(response, 4 * REPLY_CHARACTERS):
            read += block
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        read += b" (the reply breaks off here)"
    return read.decode("utf-8", "replace")[:REPLY_CHARACTERS]
