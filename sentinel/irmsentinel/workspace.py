"""Queries on a Log Analytics workspace, by Microsoft's azure-monitor-query. The only module that knows it.

Promised: a partial result is an error, never a shorter table; a token goes only to Microsoft's query
hosts, or to a stand-in on loopback that was asked for, and nothing goes where an answer leads; an answer that
is none is an error of ours, and none takes longer than its deadline; a query that the service gave up on is
not run four times over; a token that is no longer taken is renewed once. Waiting is left to whoever asks.
Not promised, because not tried: a live workspace. It was tried on the stand-in.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.identity import AzureAuthorityHosts
from azure.monitor.query import LogsQueryClient, LogsQueryPartialResult
from irmcore.clock import Clock
from irmcore.errors import AddressRefused, ConfigurationError, DataError, WaitError

from irmsentinel.bounded import BoundedTransport
from irmsentinel.content import Column
from irmsentinel.result import Result
from irmsentinel.trouble import QueryRefused, Throttled, TooMuch

#: Where Log Analytics answers queries: the public cloud, the United States' and China's.
HOSTS = {
    "public": "https://api.loganalytics.io/v1",
    "us-government": "https://api.loganalytics.us/v1",
    "china": "https://api.loganalytics.azure.cn/v1",
}
#: Where the same clouds sign in.
AUTHORITIES = {
    "public": AzureAuthorityHosts.AZURE_PUBLIC_CLOUD,
    "us-government": AzureAuthorityHosts.AZURE_GOVERNMENT,
    "china": AzureAuthorityHosts.AZURE_CHINA,
}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_SERVER_TIMEOUT_S = 600
DEADLINE = 660.0  # longer than the server's, or its answer would be missed
#: More rows than this no answer holds; one that has so many may be cut off.
MOST_ROWS = 500_000
_ERRORS = 400
_REFUSED = {400, 404}
_FORBIDDEN = {401, 403}
_RENEW = 401
_GIVEN_UP = 504
_LATER = {429, 503}
#: In a code of the service: the query needed more than it may.
_LIMITS = ("LimitsExceeded", "SizeLimitExceeded", "E_RUNAWAY_QUERY")


class Workspace:
    """One workspace, reached with one credential."""

    def __init__(
        self,
        workspace_id: str,
        credential: TokenCredential,
        endpoint: str,
        ca_file: str | None = None,
        *,
        renew: Callable[[], TokenCredential] | None = None,
        deadline: float = DEADLINE,
        clock: Clock | None = None,
    ) -> None:
        """`renew` makes a credential that has no token yet: for when the old token is no longer taken.

        `deadline` in seconds for one query; `clock` is what the client's own waits are slept on. Raises
        AddressRefused for an endpoint that is neither Microsoft's nor on loopback.
        """
        if endpoint not in HOSTS.values() and urlsplit(endpoint).hostname not in _LOOPBACK:
            raise AddressRefused(
                "that is no host of Log Analytics",
                where=endpoint,
                next_step=f"Choose a cloud: {', '.join(HOSTS)}.",
            )
        self._id = workspace_id
        self._where = f"workspace {workspace_id}"
        self._endpoint, self._renew = endpoint, renew
        self._transport = BoundedTransport(deadline=deadline, ca_file=ca_file, environment=True, clock=clock)
        self._client = self._connected(credential)

    def _connected(self, credential: TokenCredential) -> LogsQueryClient:
        return LogsQueryClient(
            credential,
            endpoint=self._endpoint,
            transport=self._transport,
            permit_redirects=False,  # no query is shown to whoever an answer names, no row taken from there
            # No status is tried again here: a 504 is a query of ten minutes, and a 429 is for who asks.
            retry_status=0,
            retry_read=0,
        )

    @property
    def label(self) -> str:
        """The workspace's id."""
        return self._id

    def ask(self, kql: str) -> Result:
        """The result of a query that bounds its time itself. Raises as `run`."""
        return self.run(kql, timespan=None)

    def run(self, kql: str, *, timespan: timedelta | None) -> Result:
        """The result of a query. Raises TooMuch, Throttled, QueryRefused, ConfigurationError or WaitError."""
        met: list[Any] = []
        try:
            return self._result(self._answer(kql, timespan, met.append))
        except HttpResponseError as error:
            raise self._refused(error) from None
        except AzureError as error:
            raise WaitError(
                f"Log Analytics cannot be reached ({type(error).__name__})",
                where=self._where,
                next_step="Check the network and the address, then run the same again.",
            ) from None
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            # What the client makes of an answer that is none, as of a proxy's page; its status may say more.
            answer = met[-1].http_response if met else None
            if answer is None or answer.status_code < _ERRORS:
                raise self._no_answer(type(error).__name__) from None
            unread = HttpResponseError()
            unread.response, unread.status_code = answer, answer.status_code
            raise self._refused(unread) from None

    def _result(self, answer: Any) -> Result:
        """The rows of what the client gives. Raises TooMuch, and whatever an answer that is none leads to."""
        if isinstance(answer, LogsQueryPartialResult):
            raise self._too_much("the answer is only a part")
        table = answer.tables[0]
        if len(table.rows) >= MOST_ROWS:
            raise self._too_much("the answer has as many rows as one can have")
        kinds = [str(kind) for kind in table.columns_types]
        columns = tuple(map(Column, table.columns, kinds))
        return Result(columns, tuple(tuple(row[i] for i in range(len(columns))) for row in table.rows))

    def _answer(self, kql: str, timespan: timedelta | None, met: Callable[[Any], None]) -> Any:
        """What the client gives; after a 401 once more, with a new token. `met` gets each answer as it is."""

        def ask() -> Any:
            return self._client.query_workspace(
                self._id, kql, timespan=timespan, server_timeout=_SERVER_TIMEOUT_S, raw_response_hook=met
            )

        try:
            return ask()
        except HttpResponseError as error:
            if error.status_code != _RENEW or self._renew is None:
                raise
            self._client = self._connected(self._renew())
        return ask()

    def _too_much(self, what: str) -> TooMuch:
        return TooMuch(
            what,
            where=self._where,
            next_step="Ask for a shorter time (starttime, endtime): at most 500,000 rows, 64 MB, 10 minutes.",
        )

    def _not_asked(self, error: HttpResponseError) -> ConfigurationError | WaitError:
        """An error without an answer: the client makes one of the credential's, or of one that broke off."""
        refused = error.__context__
        if not isinstance(refused, ClientAuthenticationError):
            return self._no_answer(type(error).__name__)
        if refused.__cause__ is not None:  # what kept the credential from hearing yes or no
            return WaitError(
                f"the login host gave no token ({type(refused.__cause__).__name__})",
                where=self._where,
                next_step="Check network, proxy and tenant, then run the same again.",
            )
        return ConfigurationError(
            "the sign-in was refused",
            where=self._where,
            next_step="Run az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.",
        )

    def _no_answer(self, why: str) -> WaitError:
        return WaitError(
            f"what answers is not Log Analytics, or broke off ({why})",
            where=self._where,
            next_step="Does a proxy show a sign-in page here? Then run the same again.",
        )

    def _refused(self, error: HttpResponseError) -> ConfigurationError | DataError | WaitError:
        status = error.status_code or 0
        code = _innermost(error)
        if not status:
            return self._not_asked(error)
        if status in _FORBIDDEN:
            return ConfigurationError(
                f"the workspace may not be read (HTTP {status}, {code})",
                where=self._where,
                next_step="Give the signed-in identity the role Log Analytics Reader there.",
            )
        return self._of_service(error, status, code)

    def _of_service(self, error: HttpResponseError, status: int, code: str) -> DataError | WaitError:
        """What the service means that has let us in."""
        if status == _GIVEN_UP:
            return self._too_much(f"the query was given up on (HTTP {status}, {code})")
        if any(limit in code for limit in _LIMITS):
            return self._too_much(f"the query needed more than it may (HTTP {status}, {code})")
        if status in _REFUSED:
            return QueryRefused(
                f"the query was refused{_place(error)} (HTTP {status}, {code})",
                where=self._where,
                next_step="Are the functions deployed (irmexport sentinel template), and is the id right?",
            )
        if status in _LATER:
            return Throttled(
                f"Log Analytics has too much to do for this identity (HTTP {status}, {code})",
                where=self._where,
                seconds=_retry_after(error),
                next_step="Wait, then run the same again.",
            )
        return WaitError(
            f"Log Analytics did not answer the query (HTTP {status}, {code})",
            where=self._where,
            next_step="Wait, then run the same again.",
        )


def _innermost(error: HttpResponseError) -> str:
    """Azure's innermost error code: it says most, and holds no value of a row."""
    inner: Any = getattr(error, "error", None)
    code = str(getattr(inner, "code", None) or "no code")
    detail: Any = getattr(inner, "innererror", None) or {}
    while isinstance(detail, dict) and detail.get("code"):
        code, detail = str(detail["code"]), detail.get("innererror") or {}
    return code


def _place(error: HttpResponseError) -> str:
    """Line and column in the query, where the service says them; its own words may quote the query."""
    detail: Any = getattr(getattr(error, "error", None), "innererror", None) or {}
    while isinstance(detail, dict):
        if isinstance(detail.get("line"), int) and isinstance(detail.get("pos"), int):
            return f" at line {detail['line']}, column {detail['pos']}"
        detail = detail.get("innererror")
    return ""


def _retry_after(error: HttpResponseError) -> float | None:
    """The seconds that the service wants to be left alone, an hour at most; None if it does not say."""
    headers: Any = getattr(error.response, "headers", None) or {}
    try:
        return min(max(float(headers.get("Retry-After", "")), 0.0), 3600.0)
    except ValueError:
        return None
