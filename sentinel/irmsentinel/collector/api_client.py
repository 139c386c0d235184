"""Requests to the Management Activity API: token, rate limit, retries and errors.

Each request carries the PublisherIdentifier. A request that may succeed later is retried, within the rate
limit. An error is an ApiError with the service's AF code. The token goes only to the API's own host and this
tenant's feed, whatever URL an answer contains.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from irmcore.clock import Clock
from irmcore.http.auth import TokenSource
from irmcore.http.outcome import backoff, error_code, retry_after

from irmsentinel.collector.api_errors import (
    TOO_LARGE,
    UNREACHABLE,
    ApiError,
    ErrorKind,
    ErrorMeaning,
    meaning,
)
from irmsentinel.collector.http import MAX_BYTES, SMALL_BYTES, Answer, Http, Unreachable
from irmsentinel.collector.rate_limit import RateLimiter

ATTEMPTS = 5
#: Seconds that all requests pause if the service says "too many requests" but not for how long.
THROTTLED_SECONDS = 30.0
_FOREIGN_ADDRESS = ErrorMeaning(
    ErrorKind.SETTINGS,
    "a URL in an answer leads to another host or feed; no token was sent there",
    "Check `cloud`. If it is right, report this to Microsoft.",
)
#: Connection failures that a retry does not repair.
_TOO_LARGE = "too-large"
_PERMANENT = {"proxy-auth": meaning("", 407), _TOO_LARGE: TOO_LARGE}
#: Errors that may end by themselves.
RETRIED = (ErrorKind.WAIT, ErrorKind.THROTTLED)


@dataclass(frozen=True)
class Account:
    """Whose audit log: the API's root URL, the tenant, and the publisher (the vendor's tenant).

    The service throttles by publisher.
    """

    root: str
    tenant_id: str
    publisher_id: str

    @property
    def feed_url(self) -> str:
        return f"{self.root}/api/v1.0/{self.tenant_id}/activity/feed"


class ApiClient:
    """Requests for one account, from any number of threads."""

    def __init__(
        self,
        account: Account,
        http: Http,
        tokens: TokenSource,
        *,
        limiter: RateLimiter,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.account = account
        self.clock = clock
        self._http = http
        self._tokens = _SharedTokens(tokens)
        self._limiter = limiter
        self._jitter = jitter
        self._large = threading.Lock()

    def close(self) -> None:
        """Close all connections; the next request opens one."""
        self._http.close()

    def request(
        self, method: str, url: str, query: dict[str, str], *, attempts: int = ATTEMPTS
    ) -> tuple[Mapping[str, str], Any]:
        """Headers and JSON body of a successful answer. A long one is requested anew when its turn comes.

        Raises ApiError after the last of ``attempts``, TokenTrouble, CredentialError.
        """
        url = self._checked(url, query)
        renewed = large = False
        attempt = 0
        while True:
            attempt += 1
            wait: float | None = None
            with self._large if large else nullcontext():
                self._limiter.acquire()
                token = self._tokens.token()
                try:
                    answer = self._http.request(method, url, token, MAX_BYTES if large else SMALL_BYTES)
                except Unreachable as error:
                    code, what = error.kind, _PERMANENT.get(error.kind, UNREACHABLE)
                else:
                    code, body = _parse(answer, array=method == "GET")
                    if not code:
                        return answer.headers, body
                    what = meaning(code, answer.status)
                    wait = retry_after(answer.headers.get("retry-after"), self.clock.now())
            if code == _TOO_LARGE and not large:
                large, attempt = True, attempt - 1
                continue
            if what.kind is ErrorKind.TOKEN and not renewed:
                renewed = True
                self._tokens.renew(token)
                continue
            if what.kind not in RETRIED or attempt >= (
                ATTEMPTS if what.kind is ErrorKind.THROTTLED else attempts
            ):
                raise ApiError(code, what)
            if what.kind is ErrorKind.THROTTLED:
                self._limiter.pause(THROTTLED_SECONDS if wait is None else wait)
            else:
                self._limiter.sleep(backoff(attempt, self._jitter()) if wait is None else wait)

    def _checked(self, url: str, query: dict[str, str]) -> str:
        """``url`` with the query and the publisher. Raises ApiError if it leads outside the tenant's feed."""
        root = urlsplit(self.account.root)
        path = f"/{self.account.tenant_id}/activity/feed/".lower()
        try:
            parts = urlsplit(url)
            values = dict(parse_qsl(parts.query, keep_blank_values=True)) | query
            text = urlencode(values | {"PublisherIdentifier": self.account.publisher_id})
            parts.path.encode()
        except ValueError:  # also a lone surrogate, which no URL can contain
            raise ApiError("foreign-address", _FOREIGN_ADDRESS) from None
        if (parts.scheme, parts.netloc) != (root.scheme, root.netloc) or path not in parts.path.lower():
            raise ApiError("foreign-address", _FOREIGN_ADDRESS)
        return urlunsplit(parts._replace(query=text, fragment=""))


class _SharedTokens:
    """One token source for many threads. They renew a rejected token once, not once each."""

    def __init__(self, tokens: TokenSource) -> None:
        self._tokens = tokens
        self._lock = threading.Lock()

    def token(self) -> str:
        with self._lock:
            return self._tokens.token()

    def renew(self, rejected: str) -> None:
        with self._lock:
            if self._tokens.token() == rejected:
                self._tokens.refresh()


def _parse(answer: Answer, *, array: bool) -> tuple[str, Any]:
    """The error code of an answer ("" for success) and its body.

    The code is the AF code in the body, or http-STATUS. An error object can come with HTTP 200, and a proxy's
    page in place of JSON.
    """
    good = 200 <= answer.status < 300  # noqa: PLR2004
    try:
        body = json.loads(answer.body, parse_constant=lambda _: None) if answer.body.strip() else None
    except (ValueError, RecursionError):
        return ("not-json" if good else f"http-{answer.status}"), None
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict) and error.get("code"):
        return error_code(error["code"]) or "no-code", None
    if not good:
        return f"http-{answer.status}", None
    return ("" if isinstance(body, list) or not array else "not-a-list"), body
