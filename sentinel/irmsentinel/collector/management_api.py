"""The Office 365 Management Activity API: subscriptions, the list of content, and content itself.

Promised: every call has the PublisherIdentifier; each page of a list once and in order; an error is told by
its AF code; a request that may succeed later is made again, under the governor; the token is sent to the
API's own host and to no other, whatever an address in an answer says.
Not promised, because not tried: a live tenant. It was tried on the stand-in (``tenant``).
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from irmcore.clock import Clock
from irmcore.http.auth import TokenSource
from irmcore.http.outcome import backoff, retry_after

from irmsentinel.collector.api_errors import CODES, ErrorKind, ErrorMeaning, meaning
from irmsentinel.collector.http import Answer, Http, Unreachable
from irmsentinel.collector.rate_limit import RateLimiter

#: Microsoft's reference, "Office 365 Management Activity API": the service's root of each cloud.
HOSTS = {
    "commercial": "https://manage.office.com",
    "gcc": "https://manage-gcc.office.com",
    "gcc-high": "https://manage.office365.us",
    "dod": "https://manage.protection.apps.mil",
}
CONTENT_TYPE = "Audit.General"  # the only content type that holds IRM alerts
#: The most that the API takes: seconds of one window, seconds back from now.
MAX_WINDOW = 24 * 3600
RETENTION = 7 * 24 * 3600
ATTEMPTS = 5
#: Seconds that everybody waits if the service says "too many requests" and not for how long.
THROTTLED_SECONDS = 30.0
_AWAY = ErrorMeaning(ErrorKind.WAIT, "the Management API cannot be reached")
#: What asking again does not mend; the rest may pass.
_UNREACHABLE = {"proxy-auth": meaning("", 407)}
_NEXT_PAGE = ("nextpageuri", "nextpageurl")  # the reference has the first, another page the second


class ApiError(Exception):
    """A request that failed for good, or as often as is tried. ``code`` is the service's or our own word."""

    def __init__(self, code: str, what: ErrorMeaning) -> None:
        super().__init__(f"{code}: {what.words}")
        self.code = code
        self.kind = what.kind
        self.words = what.words
        self.next_step = what.next_step


@dataclass(frozen=True)
class ContentItem:
    """A blob of records that can be fetched. Times in seconds since 1970."""

    id: str
    uri: str
    created: float
    expires: float


@dataclass(frozen=True)
class Subscription:
    """One of ``subscriptions/list``."""

    content_type: str
    status: str


@dataclass(frozen=True)
class Account:
    """Whose audit log: the API's root, the tenant, and who is throttled for it (the vendor's tenant)."""

    root: str
    tenant_id: str
    publisher_id: str

    @property
    def base(self) -> str:
        return f"{self.root}/api/v1.0/{self.tenant_id}/activity/feed"


class Feed:
    """One tenant's activity feed. For any number of threads."""

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
        self._account = account
        self._http = http
        self._tokens = _Shared(tokens)
        self._governor = limiter
        self._clock = clock
        self._jitter = jitter

    def close(self) -> None:
        """Close all connections; the next request opens one."""
        self._http.close()

    # -- subscriptions ------------------------------------------------------------------

    def start(self) -> bool:
        """Subscribe to Audit.General; False if that was so already.

        Raises ApiError, TokenTrouble, CredentialError.
        """
        try:
            self._ask("POST", f"{self._account.base}/subscriptions/start", {"contentType": CONTENT_TYPE})
        except ApiError as fault:
            if fault.kind is ErrorKind.ALREADY:
                return False
            raise
        return True

    def stop(self) -> bool:
        """End the subscription; False if there was none. Raises as ``start``."""
        try:
            self._ask("POST", f"{self._account.base}/subscriptions/stop", {"contentType": CONTENT_TYPE})
        except ApiError as fault:
            if fault.kind is ErrorKind.SUBSCRIBE:
                return False
            raise
        return True

    def subscriptions(self) -> list[Subscription]:
        """All subscriptions of the tenant. Raises as ``start``."""
        return self._subscriptions()[1]

    def check(self) -> float:
        """The service's own time (seconds since 1970), which windows are counted from.

        Raises ApiError if there is no enabled subscription, and as ``start``.
        """
        headers, found = self._subscriptions()
        status = {one.content_type: one.status for one in found}.get(CONTENT_TYPE)
        if status != "enabled":
            code = "AF20022" if status is None else "AF20023"
            raise ApiError(code, CODES[code])
        try:
            return parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, ValueError):
            return self._clock.now()

    def _subscriptions(self) -> tuple[Mapping[str, str], list[Subscription]]:
        headers, found = self._ask("GET", f"{self._account.base}/subscriptions/list", {})
        try:
            return headers, [Subscription(str(one["contentType"]), str(one["status"])) for one in found]
        except (KeyError, TypeError):
            what = "an entry of the list of subscriptions lacks what every entry has"
            raise ApiError(
                "bad-entry", ErrorMeaning(ErrorKind.WAIT, what, "Report this to Microsoft.")
            ) from None

    # -- content ------------------------------------------------------------------------

    def content(self, start: int, end: int) -> Iterator[ContentItem]:
        """What was made available in ``start <= t < end``, all pages.

        Whole seconds since 1970, at most a day apart. Raises as ``start``.
        """
        url = f"{self._account.base}/subscriptions/content"
        asked = {"contentType": CONTENT_TYPE, "startTime": _text(start), "endTime": _text(end)}
        seen: set[str] = set()
        while True:
            items, following = self._list(url, asked)
            yield from map(_item, items)
            if following is None:
                return
            if following in seen:
                raise ApiError(
                    "page-loop",
                    ErrorMeaning(ErrorKind.WAIT, "the list of content leads back to an earlier page"),
                )
            seen.add(following)
            url, asked = following, {}

    def records(self, item: ContentItem) -> list[Any]:
        """The records of a blob; ApiError of kind GONE if it is no more. Raises as ``start``."""
        return self._list(item.uri, {})[0]

    # -- one request --------------------------------------------------------------------

    def _list(self, url: str, query: dict[str, str]) -> tuple[list[Any], str | None]:
        headers, body = self._ask("GET", url, query)
        return body, next((headers[name] for name in _NEXT_PAGE if headers.get(name)), None)

    def _ask(self, method: str, url: str, query: dict[str, str]) -> tuple[Mapping[str, str], Any]:
        """Headers and body of an answer that is no error, asked for as often as makes sense."""
        url = self._own(url, query)
        refreshed = False
        attempt = 0
        while True:
            attempt += 1
            self._governor.take()
            token = self._tokens.token()
            wait: float | None = None
            try:
                answer = self._http.request(method, url, token)
            except Unreachable as trouble:
                code, what = trouble.kind, _UNREACHABLE.get(trouble.kind, _AWAY)
            else:
                code, body = _read(answer, array=method == "GET")
                if not code:
                    return answer.headers, body
                what = meaning(code, answer.status)
                wait = retry_after(answer.headers.get("retry-after"), self._clock.now())
            if what.kind is ErrorKind.TOKEN and not refreshed:
                refreshed = True
                self._tokens.renew(token)
                continue
            if what.kind not in (ErrorKind.WAIT, ErrorKind.THROTTLED) or attempt >= ATTEMPTS:
                raise ApiError(code, what)
            if what.kind is ErrorKind.THROTTLED:
                self._governor.hold(THROTTLED_SECONDS if wait is None else wait)
            else:
                self._governor.sleep(backoff(attempt, self._jitter()) if wait is None else wait)

    def _own(self, url: str, query: dict[str, str]) -> str:
        """``url`` with the publisher. Raises ApiError if it does not lead to this tenant's feed."""
        own, parts = urlsplit(self._account.root), urlsplit(url)
        path = f"/{self._account.tenant_id}/activity/feed/".lower()
        if (parts.scheme, parts.netloc) != (own.scheme, own.netloc) or path not in parts.path.lower():
            what = "an address in an answer leads elsewhere; the token is not sent there"
            raise ApiError(
                "foreign-address", ErrorMeaning(ErrorKind.SETTINGS, what, "Report this to Microsoft.")
            )
        asked = dict(parse_qsl(parts.query, keep_blank_values=True)) | query
        asked["PublisherIdentifier"] = self._account.publisher_id
        return urlunsplit(parts._replace(query=urlencode(asked), fragment=""))


class _Shared:
    """One token source for many threads; a token that was refused is renewed once for all of them."""

    def __init__(self, tokens: TokenSource) -> None:
        self._tokens = tokens
        self._lock = threading.Lock()

    def token(self) -> str:
        with self._lock:
            return self._tokens.token()

    def renew(self, refused: str) -> None:
        with self._lock:
            if self._tokens.token() == refused:
                self._tokens.refresh()


def _read(answer: Answer, *, array: bool) -> tuple[str, Any]:
    """The error code of an answer ("" if it is no error) and its body.

    The code is the AF code in the body, else ``http-STATUS``. An error object can come with HTTP 200, and a
    proxy's page where JSON should be.
    """
    good = 200 <= answer.status < 300  # noqa: PLR2004
    try:
        body = json.loads(answer.body, parse_constant=lambda _: None) if answer.body.strip() else None
    except (ValueError, RecursionError):
        return ("not-json" if good else f"http-{answer.status}"), None
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict) and error.get("code"):
        return str(error["code"])[:40], None
    if not good:
        return f"http-{answer.status}", None
    return ("" if isinstance(body, list) or not array else "not-a-list"), body


def _item(raw: Any) -> ContentItem:
    """One of the list of content. Raises ApiError if it cannot be read."""
    try:
        created, expires = _seconds(raw["contentCreated"]), _seconds(raw["contentExpiration"])
        return ContentItem(str(raw["contentId"]), str(raw["contentUri"]), created, expires)
    except (KeyError, TypeError, ValueError):
        what = "an entry of the list of content lacks what every entry has"
        raise ApiError("bad-entry", ErrorMeaning(ErrorKind.WAIT, what, "Report this to Microsoft.")) from None


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(seconds: int) -> str:
    """A moment as the API takes it: whole seconds, 24 hours, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
