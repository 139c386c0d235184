"""Queries on a Log Analytics workspace, by Microsoft's azure-monitor-query. The only module that knows it.

Promised: a partial result is an error, never a shorter table; a token goes only to Microsoft's query
hosts, or to a stand-in on loopback that was asked for; a query that the service gave up on is not run
four times over. Not promised, because not tried: a live workspace. It was tried on the stand-in.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.identity import AzureAuthorityHosts
from azure.monitor.query import LogsQueryClient, LogsQueryPartialResult
from irmcore.errors import AddressRefused, ConfigurationError, DataError, WaitError

from irmsentinel.content import Column
from irmsentinel.result import Result

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
_READ_TIMEOUT_S = 630  # longer than the server's, or its answer would be missed
_REFUSED = {400, 404}
_FORBIDDEN = {401, 403}


class Workspace:
    """One workspace, reached with one credential."""

    def __init__(
        self, workspace_id: str, credential: TokenCredential, endpoint: str, ca_file: str | None = None
    ) -> None:
        """Raises AddressRefused for an endpoint that is neither Microsoft's nor on loopback."""
        if endpoint not in HOSTS.values() and urlsplit(endpoint).hostname not in _LOOPBACK:
            raise AddressRefused(
                "that is no host of Log Analytics",
                where=endpoint,
                next_step=f"Choose a cloud: {', '.join(HOSTS)}.",
            )
        self._id = workspace_id
        self._where = f"workspace {workspace_id}"
        more: dict[str, Any] = {"connection_verify": ca_file} if ca_file else {}
        self._client = LogsQueryClient(
            credential,
            endpoint=endpoint,
            read_timeout=_READ_TIMEOUT_S,
            retry_status=0,  # a 504 is a query of ten minutes: not four times
            retry_on_status_codes=[429, 503],
            **more,
        )

    def run(self, kql: str, *, timespan: timedelta | None) -> Result:
        """The result of a query. Raises ConfigurationError, DataError or WaitError."""
        try:
            answer = self._client.query_workspace(
                self._id, kql, timespan=timespan, server_timeout=_SERVER_TIMEOUT_S
            )
        except HttpResponseError as error:
            raise self._refused(error) from None
        except AzureError as error:
            raise WaitError(
                f"Log Analytics cannot be reached ({type(error).__name__})",
                where=self._where,
                next_step="Check the network and the address, then run the same again.",
            ) from None
        if isinstance(answer, LogsQueryPartialResult):
            raise DataError(
                "the answer is only a part",
                where=self._where,
                next_step="Ask for a shorter time (starttime, endtime): the limit is 500,000 rows.",
            )
        table = answer.tables[0]
        kinds = [str(kind) for kind in table.columns_types]
        columns = tuple(map(Column, table.columns, kinds))
        return Result(columns, tuple(tuple(row[i] for i in range(len(columns))) for row in table.rows))

    def _refused(self, error: HttpResponseError) -> ConfigurationError | DataError | WaitError:
        status = error.status_code or 0
        code = _innermost(error)
        # The client turns the credential's error into one of its own, without a status.
        if isinstance(error.__context__, ClientAuthenticationError) or not status:
            return ConfigurationError(
                "the sign-in was refused",
                where=self._where,
                next_step="Run az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.",
            )
        if status in _FORBIDDEN:
            return ConfigurationError(
                f"the workspace may not be read (HTTP {status}, {code})",
                where=self._where,
                next_step="Give the signed-in identity the role Log Analytics Reader there.",
            )
        if status in _REFUSED:
            return DataError(
                f"the query was refused (HTTP {status}, {code})",
                where=self._where,
                next_step="Are the functions deployed (irmexport sentinel template), and is the id right?",
            )
        return WaitError(
            f"Log Analytics did not answer the query (HTTP {status}, {code})",
            where=self._where,
            next_step="Wait, then run the same again, over a shorter time if it was given up on (504).",
        )


def _innermost(error: HttpResponseError) -> str:
    """Azure's innermost error code: it says most, and holds no value of a row."""
    inner: Any = getattr(error, "error", None)
    code = str(getattr(inner, "code", None) or "no code")
    detail: Any = getattr(inner, "innererror", None) or {}
    while isinstance(detail, dict) and detail.get("code"):
        code, detail = str(detail["code"]), detail.get("innererror") or {}
    return code
