"""The border to requests, urllib3 and ssl: their exceptions become a :class:`Failure`.

No text of theirs is kept, as it may quote a reply. An exception that is not listed is ``protocol``.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import requests
import urllib3

from irmcore.http.outcome import Failure

#: An exception anywhere in the chain → the kind of failure. The first match counts.
_KINDS = (
    (urllib3.exceptions.NameResolutionError, "dns"),
    (socket.gaierror, "dns"),
    (ssl.SSLCertVerificationError, "tls"),
    (TimeoutError, "timeout"),
    (socket.timeout, "timeout"),  # not an alias before Python 3.10
    (ConnectionRefusedError, "refused"),
    (
        urllib3.exceptions.NewConnectionError,
        "refused",
    ),  # before its base class, which is a timeout for historical reasons
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


def to_failure(error: BaseException, *, committed: bool, expired: bool) -> Failure:
    """The failure that ``error`` stands for. ``expired``: the deadline had passed."""
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
    """The error and everything it came from: causes, contexts, wrapped reasons and arguments."""
    seen: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        link = todo.pop()
        if not isinstance(link, BaseException) or any(link is known for known in seen):
            continue
        seen.append(link)
        yield link
        todo.extend([link.__cause__, link.__context__, getattr(link, "reason", None), *link.args])
