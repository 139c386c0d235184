"""Query a Log Analytics workspace, through Microsoft's azure-monitor-query. No other module uses that client.

A token goes only to Microsoft's query hosts, or to an emulator on loopback that the caller names; redirects
are not followed. A query ends at its deadline. A query that timed out is not retried here. A rejected token
is renewed once. The caller decides how long to wait when the service is throttling. Not tested: a live
workspace; the tests use the emulator.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote, urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.rest import HttpRequest
from azure.monitor.query import LogsQueryClient
from irmcore.clock import Clock
from irmcore.errors import AddressRefused, WaitError

from irmsentinel.azure import query_answer
from irmsentinel.azure.bounded_transport import DIRECT, Network
from irmsentinel.azure.identity import known_errors
from irmsentinel.azure.query_answer import Answer
from irmsentinel.kql.result import Result

#: The query host of each cloud.
HOSTS = {
    "public": "https://api.loganalytics.io/v1",
    "us-government": "https://api.loganalytics.us/v1",
    "china": "https://api.loganalytics.azure.cn/v1",
}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_SERVER_TIMEOUT_S = 600
#: Seconds for one query: longer than the server's own limit, to receive its answer.
DEADLINE = 660.0
#: The service's own limit of an answer is about 100 MB.
MAX_BYTES = 128 * 1024 * 1024
_SIGN_IN = "Run az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET."
_UNAUTHORIZED = 401


class Workspace:
    """One workspace, queried with one credential."""

    def __init__(
        self,
        workspace_id: str,
        credential: TokenCredential,
        endpoint: str,
        network: Network = DIRECT,
        *,
        renew: Callable[[], TokenCredential] | None = None,
        deadline: float = DEADLINE,
        clock: Clock | None = None,
    ) -> None:
        """`renew` makes a credential without a token, for use when the service rejects the old token.

        `deadline` in seconds for one query. The client's own waits sleep on `clock`. Raises AddressRefused
        for an endpoint that is neither Microsoft's nor on loopback.
        """
        if endpoint not in HOSTS.values() and urlsplit(endpoint).hostname not in _LOOPBACK:
            raise AddressRefused(
                "this is not a host of Log Analytics",
                where=endpoint,
                next_step=f"Choose a cloud: {', '.join(HOSTS)}.",
            )
        self._id = workspace_id
        self._where = f"workspace {workspace_id}"
        self._endpoint, self._renew = endpoint, renew
        self._transport = network.transport(deadline, clock=clock, max_bytes=MAX_BYTES)
        self._client = self._connect(credential)

    def _connect(self, credential: TokenCredential) -> LogsQueryClient:
        return LogsQueryClient(
            credential,
            endpoint=self._endpoint,
            transport=self._transport,
            permit_redirects=False,  # neither the query nor its rows go anywhere else
            # No retries by status: a 504 took ten minutes, and the caller reacts to a 429.
            retry_status=0,
            retry_read=0,
        )

    @property
    def label(self) -> str:
        """The workspace's ID."""
        return self._id

    def query(self, kql: str, *, timespan: timedelta | None = None) -> Result:
        """The result of a query; `timespan` is None if the query bounds its time itself.

        Raises TooMuch, Throttled, QueryRefused, ConfigurationError or WaitError.
        """
        return query_answer.result(self._answer(kql, timespan), self._where)

    def _answer(self, kql: str, timespan: timedelta | None) -> Answer:
        """The service's answer, of any status. Raises ConfigurationError or WaitError if there is none."""
        with known_errors(self._where, _SIGN_IN, self._unanswered, self._broken):
            answer = self._send(kql, timespan)
            if answer.status == _UNAUTHORIZED and self._renew is not None:
                self._client = self._connect(self._renew())
                answer = self._send(kql, timespan)
        return answer

    def _unanswered(self, error: AzureError) -> WaitError:
        if isinstance(error, HttpResponseError):  # the answer broke off
            return self._broken(type(error).__name__)
        return WaitError(
            f"Log Analytics cannot be reached ({type(error).__name__})",
            where=self._where,
            next_step="Check the network and the URL, then run the command again.",
        )

    def _broken(self, why: str) -> WaitError:
        return query_answer.not_an_answer(why, self._where)

    def _send(self, kql: str, timespan: timedelta | None) -> Answer:
        """One request. Raises AzureError, or what the client's reader raises."""
        span = None if timespan is None else f"PT{timespan.total_seconds()}S"
        request = HttpRequest(
            "POST",
            f"/workspaces/{quote(self._id, safe='')}/query",
            headers={"Prefer": f"wait={_SERVER_TIMEOUT_S}"},
            json={"query": kql, "timespan": span},
        )
        # stream=True: otherwise the client decodes the answer, and fails on one that is not UTF-8, of any
        # status.
        with self._client.send_request(request, stream=True) as response:
            status, retry_after = response.status_code, response.headers.get("Retry-After", "")
            try:
                text = str(response.read(), "utf-8-sig")
            except UnicodeDecodeError:
                text = ""  # not JSON either
        del response  # with its bytes: both together would be twice the answer
        return Answer(status, retry_after, text)
