"""Microsoft Graph's list of alerts over HTTPS, with a connector's application and secret.

Promised: token and secret go only to the hosts of the connector's cloud, or to its emulator on loopback; a
page's link to another host is refused, and redirects are not followed. A request has a deadline and an answer
a maximum size. What is not a complete page is an error, never a shorter page. No message contains a token, a
secret or a person's data. Not tested: a live tenant; the tests use the emulator.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Callable
from urllib.parse import urlsplit

from irmcore import __version__, alert_list
from irmcore.clock import Clock
from irmcore.clouds import GRAPH_HOSTS
from irmcore.delivery.connection import TOKEN_DEADLINE, Connection
from irmcore.errors import AddressRefused, ConfigurationError, IrmError, WaitError
from irmcore.http.auth import MsalTokens, TokenTrouble
from irmcore.http.credentials import Secret
from irmcore.http.deadlines import PLAIN, Exchange, TokenHttp, read_plain
from irmcore.http.failures import to_failure
from irmcore.http.outcome import backoff, error_code, retry_after

#: Seconds for one request and its whole answer, and the most bytes of an answer.
_DEADLINE, _MAX_BYTES = 60.0, 32 * 1024 * 1024
#: Seconds in which all requests and waits must be done: splunkd's session key is valid for an hour.
_TOTAL = 3000.0
#: Seconds of a wait after which the lease is renewed.
_SLICE = 20.0
_ATTEMPTS = 5
_LATER = {429, 500, 502, 503, 504}
_OK, _UNAUTHORIZED, _FORBIDDEN = 200, 401, 403


@dataclass(frozen=True)
class Page:
    """One page. ``at`` is the service's time when it answered, in seconds since 1970."""

    items: tuple[Mapping[str, Any], ...]
    next_link: str | None
    at: float


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    document: Any


class GraphList:
    """The alerts of one tenant. ``renew_lease`` is called at least every 20 seconds of a wait."""

    def __init__(
        self,
        connection: Connection,
        secret: Callable[[], Secret],
        clock: Clock,
        renew_lease: Callable[[], None],
    ) -> None:
        """``secret`` reads the connector's secret when a token is first needed.

        Raises AddressRefused, and ConfigurationError if others may change the CA file.
        """
        connector, endpoints = connection.connector, connection.endpoints()
        host = GRAPH_HOSTS[connector.cloud]
        self._base = host if connection.emulator is None else endpoints.login
        self._network: dict[str, Any] = {"ca_file": connection.ca_file(), "proxy": connector.proxy}
        self._tokens = MsalTokens(
            login=endpoints.login,
            tenant_id=connector.tenant_id,
            app_id=connector.app_id,
            secret=secret,
            scope=f"{host}/.default",
            http=TokenHttp(**self._network, deadline=TOKEN_DEADLINE),
            known_login=connection.emulator is None,
        )
        self._clock, self._renew_lease = clock, renew_lease
        self._end = clock.monotonic() + _TOTAL
        self.where = urlsplit(self._base).netloc

    def pages(self, since: float) -> Iterator[Page]:
        """The pages of what was updated since ``since``, in seconds since 1970. Raises IrmError."""
        link: str | None = self._base + alert_list.path(since)
        seen: set[str] = set()
        while link is not None:
            if not self._is_own(link):
                raise AddressRefused(
                    "Microsoft Graph sent a link to another host, which was not followed",
                    where=self.where,
                    next_step="Check whether a proxy changes the answers.",
                )
            if link in seen:
                raise self._incomplete("the pages lead back to an earlier one")
            seen.add(link)
            page = self._page(link)
            yield page
            link = page.next_link

    def _is_own(self, link: str) -> bool:
        try:
            here, there = urlsplit(self._base), urlsplit(link)
        except ValueError:
            return False
        return (there.scheme, there.netloc.lower()) == (here.scheme, here.netloc.lower())

    def _page(self, link: str) -> Page:
        """One page, after as many attempts as are allowed."""
        for attempt in range(1, _ATTEMPTS + 1):
            asked = None
            try:
                answer = self._get(link)
                if answer.status == _UNAUTHORIZED:
                    self._tokens.refresh()
                    answer = self._get(link)
                if answer.status == _OK:
                    return self._read(answer)
                asked = retry_after(
                    answer.headers.get("Retry-After"), self._clock.now(), answer.headers.get("Date")
                )
                raise self._failure(answer)
            except WaitError:
                wait = backoff(attempt, random.random()) if asked is None else asked  # noqa: S311 - jitter
                if attempt == _ATTEMPTS or self._clock.monotonic() + wait > self._end:
                    raise
                self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _sleep(self, wait: float) -> None:
        end = self._clock.monotonic() + wait
        while (left := end - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left, _SLICE))
            self._renew_lease()

    def _get(self, link: str) -> _Answer:
        """One request. Raises CredentialError, ConfigurationError, WaitError."""
        try:
            token = self._tokens.token()
        except TokenTrouble as trouble:
            kind = WaitError if trouble.wait else ConfigurationError
            raise kind(
                f"there is no token ({trouble.code})", where=self.where, next_step=trouble.advice
            ) from None
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "User-Agent": f"irmexport/{__version__}",
            "Connection": "close",
            **PLAIN,
            **alert_list.HEADERS,
        }
        with Exchange(**self._network, deadline=_DEADLINE) as exchange:
            try:
                response = exchange.session.get(
                    link, headers=headers, timeout=exchange.timeout, allow_redirects=False, stream=True
                )
                body = b"".join(read_plain(response, _MAX_BYTES + 1))
            except Exception as error:  # noqa: BLE001 - the border: an unknown one becomes "protocol"
                failure = to_failure(error, committed=True, expired=exchange.expired)
                raise self._incomplete(failure.kind) from None
        try:
            document = json.loads(body) if len(body) <= _MAX_BYTES else None
        except (ValueError, RecursionError):
            document = None
        return _Answer(response.status_code, response.headers, document)

    def _read(self, answer: _Answer) -> Page:
        """The page in an answer. Raises WaitError if it is not one, or not complete."""
        document = answer.document if isinstance(answer.document, dict) else {}
        items, link = document.get("value"), document.get("@odata.nextLink")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self._incomplete("no list of objects")
        if link is not None and not isinstance(link, str):
            raise self._incomplete("a link that cannot be followed")
        if not all(map(alert_list.is_of_irm, items)):
            raise ConfigurationError(
                "Microsoft Graph lists an alert that does not say it is one of Insider Risk Management",
                where=self.where,
                next_step="Check whether a proxy changes requests: the filter and the header Prefer must "
                "arrive. If it does not, report this to Microsoft.",
            )
        try:
            at = parsedate_to_datetime(str(answer.headers.get("Date"))).timestamp()
        except (TypeError, ValueError, IndexError):  # IndexError: Python 3.9
            at = self._clock.now()
        return Page(tuple(items), link, at)

    def _failure(self, answer: _Answer) -> IrmError:
        """The error of an answer that is not 200. Graph's message is not shown: it may quote a name."""
        found = answer.document.get("error") if isinstance(answer.document, dict) else None
        code = (error_code(found.get("code")) if isinstance(found, dict) else "") or "no code"
        said = f"(HTTP {answer.status}, {code})"
        if answer.status in _LATER:
            what, step = "is throttling or unavailable", "The input tries again after its interval."
            return WaitError(f"Microsoft Graph {what} {said}", where=self.where, next_step=step)
        if answer.status == _FORBIDDEN:
            what = f"denies the application the permission {alert_list.PERMISSION}"
            step = f"Grant Microsoft Graph's {alert_list.PERMISSION} in Entra ID, with admin consent."
        elif answer.status == _UNAUTHORIZED:
            what, step = (
                "rejected the token, also a new one",
                "Check `cloud` and `tenant_id` of the connector.",
            )
        else:
            what, step = "refused the request", "Check whether a proxy answers in its place."
        return ConfigurationError(f"Microsoft Graph {what} {said}", where=self.where, next_step=step)

    def _incomplete(self, why: str) -> WaitError:
        return WaitError(
            f"no complete answer of Microsoft Graph ({why})",
            where=self.where,
            next_step="Check the network and the proxy. The input tries again after its interval.",
        )
