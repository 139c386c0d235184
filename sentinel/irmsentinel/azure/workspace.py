"""Queries on a Log Analytics workspace, by Microsoft's azure-monitor-query. The only module that knows it.

Promised: a partial result is an error, never a shorter table; a token goes only to Microsoft's query
hosts, or to a stand-in on loopback that was asked for, and nothing goes where an answer leads; an answer that
is none is an error of ours, and none takes longer than its deadline; a query that the service gave up on is
not run four times over; a token that is no longer taken is renewed once. Waiting is left to whoever asks.
Not promised, because not tried: a live workspace. It was tried on the stand-in.

The client signs in, sends and tries again (its `send_request`); the answer is read here. Its own reading
parses the JSON twice and makes a date, a list and a dictionary of what is to be text again: 30 µs a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.rest import HttpRequest
from azure.identity import AzureAuthorityHosts
from azure.monitor.query import LogsQueryClient
from irmcore.clock import Clock
from irmcore.errors import AddressRefused, ConfigurationError, DataError, WaitError

from irmsentinel.azure import rows_text
from irmsentinel.azure.bounded_transport import BoundedTransport
from irmsentinel.azure.query_errors import QueryRefused, Throttled, TooMuch
from irmsentinel.azure.rows_text import Rows
from irmsentinel.content.artefacts import Column
from irmsentinel.kql.result import Result

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
MAX_ROWS = 500_000
_DONE = 200
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

    def query(self, kql: str, *, timespan: timedelta | None = None) -> Result:
        """The result of a query; `timespan` is None if the query bounds its time itself.

        Raises TooMuch, Throttled, QueryRefused, ConfigurationError or WaitError.
        """
        answer = self._told(kql, timespan)
        if answer.status != _DONE:
            raise self._refused(answer)
        if answer.partial:
            raise self._too_much("the answer is only a part")
        try:
            table = answer.document["tables"][0]
            columns = tuple(Column(column["name"], column["type"]) for column in table["columns"])
            rows = table["rows"] or ()
        except (LookupError, TypeError):
            raise self._no_answer("no table") from None
        if rows and not (isinstance(rows, Rows) and rows.widths == {len(columns)}):
            raise self._no_answer("no table")
        if len(rows) >= MAX_ROWS:
            raise self._too_much("the answer has as many rows as one can have")
        return Result(columns, rows)

    def _told(self, kql: str, timespan: timedelta | None) -> _Answer:
        """The service's answer, whatever it is. Raises ConfigurationError or WaitError if there is none."""
        try:
            return self._answer(kql, timespan)
        except ClientAuthenticationError as refused:
            raise self._not_signed_in(refused) from None
        except HttpResponseError as error:
            raise self._not_asked(error) from None
        except AzureError as error:
            raise WaitError(
                f"Log Analytics cannot be reached ({type(error).__name__})",
                where=self._where,
                next_step="Check the network and the address, then run the same again.",
            ) from None
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            # What the client makes of an answer that is none, as of a proxy's page to a sign-in.
            raise self._no_answer(type(error).__name__) from None

    def _answer(self, kql: str, timespan: timedelta | None) -> _Answer:
        """What the service says; after a 401 once more, with a new token. Raises AzureError."""
        answer = self._asked(kql, timespan)
        if answer.status == _RENEW and self._renew is not None:
            self._client = self._connected(self._renew())
            answer = self._asked(kql, timespan)
        return answer

    def _asked(self, kql: str, timespan: timedelta | None) -> _Answer:
        span = None if timespan is None else f"PT{timespan.total_seconds()}S"
        request = HttpRequest(
            "POST",
            f"/workspaces/{quote(self._id, safe='')}/query",
            headers={"Prefer": f"wait={_SERVER_TIMEOUT_S}"},
            json={"query": kql, "timespan": span},
        )
        # stream: else the client decodes the answer, and fails at one that is no UTF-8, whatever its status
        with self._client.send_request(request, stream=True) as response:
            status, later = response.status_code, response.headers.get("Retry-After", "")
            try:
                text = str(response.read(), "utf-8-sig")
            except UnicodeDecodeError:
                text = ""  # no JSON either
        del response  # and its bytes: both together would be twice an answer
        return _Answer(status, later, text)

    def _too_much(self, what: str) -> TooMuch:
        return TooMuch(
            what,
            where=self._where,
            next_step="Ask for a shorter time (starttime, endtime): at most 500,000 rows, 64 MB, 10 minutes.",
        )

    def _not_asked(self, error: HttpResponseError) -> ConfigurationError | WaitError:
        """An error without an answer: the client makes one of the credential's, or of one that broke off."""
        if isinstance(error.__context__, ClientAuthenticationError):
            return self._not_signed_in(error.__context__)
        return self._no_answer(type(error).__name__)

    def _not_signed_in(self, refused: ClientAuthenticationError) -> ConfigurationError | WaitError:
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

    def _refused(self, answer: _Answer) -> ConfigurationError | DataError | WaitError:
        status, code = answer.status, answer.code
        if status in _FORBIDDEN:
            return ConfigurationError(
                f"the workspace may not be read (HTTP {status}, {code})",
                where=self._where,
                next_step="Give the signed-in identity the role Log Analytics Reader there.",
            )
        if status == _GIVEN_UP:
            return self._too_much(f"the query was given up on (HTTP {status}, {code})")
        if any(limit in code for limit in _LIMITS):
            return self._too_much(f"the query needed more than it may (HTTP {status}, {code})")
        if status in _REFUSED:
            return QueryRefused(
                f"the query was refused{answer.place} (HTTP {status}, {code})",
                where=self._where,
                next_step="Are the functions deployed (irmexport sentinel template), and is the id right?",
            )
        if status in _LATER:
            return Throttled(
                f"Log Analytics has too much to do for this identity (HTTP {status}, {code})",
                where=self._where,
                seconds=_seconds(answer.retry_after),
                next_step="Wait, then run the same again.",
            )
        return self._unanswered(answer)

    def _unanswered(self, answer: _Answer) -> WaitError:
        return WaitError(
            f"Log Analytics did not answer the query (HTTP {answer.status}, {answer.code})",
            where=self._where,
            next_step="Wait, then run the same again.",
        )


class _Answer:
    """An answer of the service: status, what it says of waiting, and its document (None if it is no JSON)."""

    def __init__(self, status: int, retry_after: str, text: str) -> None:
        self.status, self.retry_after = status, retry_after
        try:
            self.document: Any = rows_text.loads(text)
        except (ValueError, RecursionError):
            self.document = None

    @property
    def _error(self) -> Any:
        return self.document.get("error") if isinstance(self.document, dict) else None

    @property
    def partial(self) -> bool:
        """Whether something is wrong although there is a result."""
        return bool(self._error)

    def _errors(self) -> Iterator[dict[str, Any]]:
        """The error in Azure's form, and those inside it."""
        detail = self._error
        while isinstance(detail, dict):
            yield detail
            detail = detail.get("innererror")

    @property
    def code(self) -> str:
        """Azure's innermost error code: it says most, and holds no value of a row."""
        codes = [str(detail["code"]) for detail in self._errors() if detail.get("code")]
        return codes[-1] if codes else "no code"

    @property
    def place(self) -> str:
        """Line and column in the query, where the service says them; its own words may quote the query."""
        for detail in self._errors():
            if isinstance(detail.get("line"), int) and isinstance(detail.get("pos"), int):
                return f" at line {detail['line']}, column {detail['pos']}"
        return ""


def _seconds(retry_after: str) -> float | None:
    """The seconds that the service wants to be left alone, an hour at most; None if it does not say."""
    try:
        return min(max(float(retry_after), 0.0), 3600.0)
    except ValueError:
        return None
