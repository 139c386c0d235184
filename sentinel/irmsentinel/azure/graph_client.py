"""Calls of Microsoft Graph over azure-core's pipeline. No other module talks to Graph.

Promised: a token goes only to the host of the chosen cloud, or to an emulator on loopback; a page's link to
another host is refused, redirects are not followed, and the address at which a file's content is goes without
a token. A request has a deadline and an answer a maximum size;
waiting for a throttled service is bounded. A rejected token is renewed once. What is not a complete page of
Graph is an error, never a shorter page. No message contains a token or a person's data.
Not tested: a live tenant; the tests use the emulator.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, HeadersPolicy
from azure.core.rest import HttpRequest
from irmcore import __version__
from irmcore.clock import Clock, SystemClock
from irmcore.clouds import GRAPH_HOSTS
from irmcore.errors import AddressRefused, ConfigurationError, IrmError, WaitError
from irmcore.http.outcome import backoff, error_code, retry_after

from irmsentinel.azure.bounded_transport import DIRECT, AnswerTooLarge, Network
from irmsentinel.azure.identity import NoToken, known_errors

#: The host of Graph in each cloud of the connector.
HOSTS = GRAPH_HOSTS
#: The application permissions, each the least privileged one for its calls.
READ_USERS, READ_MEMBERS = "User.Read.All", "GroupMember.Read.All"
#: Seconds for one request and its whole answer.
DEADLINE = 60.0
#: The maximum size of an answer in bytes. A page of users has some hundred kilobytes.
MAX_BYTES = 32 * 1024 * 1024
#: Seconds: the longest single wait that Graph may ask for, and the longest time that all requests may take.
MAX_WAIT, TOTAL = 300.0, 3600.0

_SIGN_IN_OPTIONS = "Check --sign-in, --tenant-id, --client-id and --credential."
_ATTEMPTS = 5
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_LATER = {429, 500, 502, 503, 504}
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _GONE = 401, 403, 404, 410
_DONE, _PARTIAL = {200, 201, 202, 204, 206}, 206
_RESYNC = {"syncstatenotfound", "syncstateinvalid", "resyncrequired"}

_Read = TypeVar("_Read")
_Client = PipelineClient[Any, Any]
_AGENT: Any = HeadersPolicy({"User-Agent": f"irmexport/{__version__}"})


class ResyncRequired(WaitError):
    """Graph no longer knows the state that a delta link stands for: read everything again."""

    def __init__(self) -> None:
        super().__init__(
            "Microsoft Graph no longer has what was asked for, or asks to begin again",
            next_step="Run the command again.",
        )


class NotFound(ConfigurationError):
    """Graph has no such object."""


class TooLarge(WaitError):
    """The answer has more than ``max_bytes``."""


class Forbidden(ConfigurationError):
    """The identity lacks a permission."""


@dataclass(frozen=True)
class Page:
    """One page. ``at`` is the service's time when it answered, in seconds since 1970."""

    items: tuple[Mapping[str, Any], ...]
    next_link: str | None
    delta_link: str | None
    at: float


@dataclass(frozen=True)
class Answer:
    """A status, headers by any case of their names, and a body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The JSON in the body; None if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def code(self) -> str:
        """Graph's error code. Its message is not shown: it may quote a name."""
        document = self.document
        error = document.get("error") if isinstance(document, dict) else None
        return (error_code(error.get("code")) if isinstance(error, dict) else "") or "no code"


class GraphClient:
    """Graph of one cloud or emulator, with one identity."""

    def __init__(
        self,
        host: str,
        make_credential: Callable[[], TokenCredential],
        network: Network = DIRECT,
        *,
        clock: Clock | None = None,
        deadline: float = DEADLINE,
        max_bytes: int = MAX_BYTES,
        max_wait: float = MAX_WAIT,
    ) -> None:
        """``host`` as in ``HOSTS``, or https on loopback. ``make_credential`` makes a credential without a
        token. If Graph asks to wait for more than ``max_wait`` seconds, the call fails, and so does each call
        before that time.

        Raises AddressRefused for another host.
        """
        parts = urlsplit(host)
        if host not in HOSTS.values() and not (parts.scheme == "https" and parts.hostname in _LOOPBACK):
            raise AddressRefused(
                "this is not a host of Microsoft Graph",
                where=host,
                next_step=f"Choose a cloud: {', '.join(HOSTS)}.",
            )
        self.host = host
        self._where = parts.netloc
        self._make_credential = make_credential
        self._clock = clock or SystemClock()
        self._transport = network.transport(deadline, clock=self._clock, max_bytes=max_bytes)
        self._client: _Client = self._connect()
        #: For addresses that need no token, and must not get one.
        self._bare: _Client = PipelineClient(self.host, policies=[_AGENT], transport=self._transport)
        self._max_wait = max_wait
        self._not_before = 0.0
        self.begin()

    def begin(self) -> None:
        """Let the time begin in which all requests must be done."""
        self._end = self._clock.monotonic() + TOTAL

    def _connect(self) -> _Client:
        # No retry policy: the waits here are bounded. No redirect policy: the token goes nowhere else.
        policies = [
            HeadersPolicy({"Accept": "application/json"}),
            _AGENT,
            BearerTokenCredentialPolicy(self._make_credential(), f"{self.host}/.default"),
        ]
        return PipelineClient(self.host, policies=policies, transport=self._transport)

    def is_own(self, link: str) -> bool:
        """Whether a link leads to this client's host."""
        try:
            here, there = urlsplit(self.host), urlsplit(link)
            return (there.scheme, there.netloc.lower()) == (here.scheme, here.netloc.lower())
        except ValueError:
            return False

    def pages(
        self, path: str, permission: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[Page]:
        """The page at ``path`` (or at a link of Graph's) and all that follow it.

        ``permission`` is the application permission that messages name if it is missing. Raises
        ResyncRequired, NotFound, Forbidden, ConfigurationError, AddressRefused, TooLarge and WaitError.
        """
        seen: set[str] = set()
        link: str | None = urljoin(self.host, path)
        while link is not None:
            if not self.is_own(link):
                raise AddressRefused(
                    "Microsoft Graph sent a link to another host, which was not followed",
                    where=_host(link),
                    next_step="Check whether a proxy changes the answers.",
                )
            if link in seen:
                raise self._incomplete("the pages lead back to an earlier one")
            seen.add(link)
            page = self._call(HttpRequest("GET", link, headers=dict(headers)), permission, self._page)
            yield page
            link = page.next_link

    def single(
        self, path: str, permission: str, method: str = "GET", handled: Collection[int] = (), **request: Any
    ) -> tuple[Mapping[str, Any], float]:
        """The object at ``path``, and the service's time; the rest as in `call`. Raises as `pages`."""
        made = HttpRequest(method, urljoin(self.host, path), **request)
        return self._call(made, permission, self._object, handled)

    def call(
        self, method: str, path: str, permission: str, handled: Collection[int] = (), **request: Any
    ) -> Answer:
        """The answer to a request that may be repeated without harm: a success, or a status of ``handled``.

        ``request`` has azure-core's ``json``, ``content`` and ``headers``. Raises as `pages`.
        """
        made = HttpRequest(method, urljoin(self.host, path), **request)
        return self._call(made, permission, _same, handled)

    def content(self, url: str, start: int, size: int) -> bytes | None:
        """``size`` bytes of a file from ``start``, by a download URL of Graph's, without a token.

        None if the URL is no longer valid. Raises AddressRefused, ConfigurationError and WaitError.
        """
        if not url.startswith("https://"):
            raise AddressRefused(
                "Microsoft Graph sent an address for a file's content that is not https",
                where=_host(url),
                next_step="Check whether a proxy changes the answers.",
            )
        request = HttpRequest("GET", url, headers={"Range": f"bytes={start}-{start + size - 1}"})
        expired = {_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _GONE}
        answer = self._call(request, "", _same, expired, self._bare)
        if answer.status in expired:
            return None
        # The Range header "may be ignored": learn.microsoft.com/graph/api/driveitem-get-content.
        found = answer.body if answer.status == _PARTIAL else answer.body[start : start + size]
        if len(found) != size:
            raise self._incomplete("a part of a file")
        return found

    def _call(
        self,
        request: HttpRequest,
        permission: str,
        read: Callable[[Answer], _Read],
        handled: Collection[int] = (),
        client: _Client | None = None,
    ) -> _Read:
        """What ``read`` makes of the answer, after as many attempts as are allowed."""
        if self._clock.monotonic() < self._not_before:
            raise WaitError(
                "Microsoft Graph has asked to wait",
                where=self._where,
                next_step=f"Try again in {self._not_before - self._clock.monotonic():.0f} s.",
            )
        asked = 0.0
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = self._send(request, client)
                if answer.status in _DONE or answer.status in handled:
                    return read(answer)
                error, wait = self._failure(answer, permission), self._wait(answer, attempt)
                asked = wait if "Retry-After" in answer.headers else 0.0
                if answer.status not in _LATER:
                    raise error
            except (NoToken, ResyncRequired, TooLarge):
                raise
            except WaitError as passing:
                error, wait = passing, backoff(attempt, 0.0)
            if attempt == _ATTEMPTS or wait > self._max_wait or self._clock.monotonic() + wait > self._end:
                break
            self._clock.sleep(wait)
        self._not_before = self._clock.monotonic() + asked
        raise error

    def _wait(self, answer: Answer, attempt: int) -> float:
        asked = retry_after(answer.headers.get("Retry-After"), self._clock.now())
        return backoff(attempt, 0.0) if asked is None else asked

    def _send(self, request: HttpRequest, client: _Client | None) -> Answer:
        """One request; a second one with a new token if the first was rejected. Raises IrmError."""
        if self._clock.monotonic() > self._end:
            raise ConfigurationError(
                f"reading from Microsoft Graph took more than {TOTAL / 60:.0f} minutes",
                where=self._where,
                next_step="Check the network, then run the command again.",
            )
        with known_errors(self._where, _SIGN_IN_OPTIONS, self._unanswered, self._incomplete):
            answer = _request(request, client or self._client)
            if answer.status == _UNAUTHORIZED and client is None:
                self._client = self._connect()
                answer = _request(request, self._client)
        return answer

    def _unanswered(self, error: AzureError) -> WaitError:
        kind = TooLarge if isinstance(error, AnswerTooLarge) else WaitError
        return kind(
            f"Microsoft Graph did not answer completely ({type(error).__name__})",
            where=self._where,
            next_step="Check the network and the proxy, then run the command again.",
        )

    def _object(self, answer: Answer) -> tuple[Mapping[str, Any], float]:
        """The object in an answer. Raises WaitError if there is none."""
        document = answer.document
        if not isinstance(document, dict):
            raise self._incomplete("no object")
        return document, self._time(answer)

    def _page(self, answer: Answer) -> Page:
        """The page in an answer. Raises WaitError if it is not one, or not complete."""
        document = answer.document
        items = document.get("value") if isinstance(document, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self._incomplete("no list of objects")
        links = [document.get(f"@odata.{name}") for name in ("nextLink", "deltaLink")]
        if not all(link is None or isinstance(link, str) for link in links) or all(links):
            raise self._incomplete("a link that cannot be followed")
        return Page(tuple(items), links[0], links[1], self._time(answer))

    def _time(self, answer: Answer) -> float:
        """When the service answered, by its clock; by this machine's if it does not say."""
        try:
            return parsedate_to_datetime(str(answer.headers.get("Date"))).timestamp()
        except (TypeError, ValueError):
            return self._clock.now()

    def _failure(self, answer: Answer, permission: str) -> IrmError:
        """The error of an answer that is not 200. Raises ResyncRequired."""
        if answer.status == _GONE or answer.code.lower() in _RESYNC:
            raise ResyncRequired
        grant = f"Grant Microsoft Graph's {permission} in Entra ID, with admin consent."
        known: dict[int, tuple[type[IrmError], str, str]] = {
            _FORBIDDEN: (Forbidden, f"this identity lacks the application permission {permission}", grant),
            _UNAUTHORIZED: (
                ConfigurationError,
                "Microsoft Graph rejected the token, also a new one",
                "Check --cloud, and that the identity belongs to this tenant.",
            ),
            _NOT_FOUND: (NotFound, "Microsoft Graph has no such object", "Check the object id."),
            **dict.fromkeys(
                _LATER,
                (
                    WaitError,
                    "Microsoft Graph is throttling or unavailable",
                    "Wait, then run the command again.",
                ),
            ),
        }
        refused = "Microsoft Graph refused the request", "Check whether a proxy answers in its place."
        kind, what, next_step = known.get(answer.status, (ConfigurationError, *refused))
        said = f"{what} (HTTP {answer.status}, {answer.code})"
        return kind(said, where=self._where, next_step=next_step)

    def _incomplete(self, why: str) -> WaitError:
        return WaitError(
            f"the answer is incomplete or does not come from Microsoft Graph ({why})",
            where=self._where,
            next_step="Check whether a proxy answers here, then run the command again.",
        )


def _host(link: str) -> str:
    """The host that a link names, for messages."""
    try:
        return urlsplit(link).netloc[:200]
    except ValueError:
        return "a link that cannot be read"


def _request(request: HttpRequest, client: _Client) -> Answer:
    answer = client.send_request(request)
    return Answer(answer.status_code, answer.headers, answer.content)


def _same(answer: Answer) -> Answer:
    return answer
