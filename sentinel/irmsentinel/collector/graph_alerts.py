"""Microsoft Graph's list of security alerts (`alerts_v2`) as a source of IRM alerts, one record a version.

Promised: each version of an alert that the list shows is read, in whatever order its pages come and while
alerts are created, updated and deleted. Versions that came and went between two readings are not in the list.
How it is kept:

- The list has no end time, so an update cannot move an alert out of it; a new version has a later time and is
  read by the next run at the latest.
- A deletion moves later alerts to an earlier page, where one can be missed. So a list of several pages is
  read again, until a reading finds nothing that the first one should have had.

Unpublished and so unverified: what Insider Risk Management puts into an alert, how long Graph shows it, and
whether ``providerAlertId`` is the AlertId of the audit records.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from azure.core.credentials import AccessToken, TokenCredential
from irmcore.errors import WaitError
from irmcore.http.auth import TokenSource

from irmsentinel.azure.graph_client import GraphClient, Page, ResyncRequired
from irmsentinel.collector import records
from irmsentinel.collector.api_errors import ApiError, ErrorKind, ErrorMeaning
from irmsentinel.collector.management_api import ContentItem
from irmsentinel.collector.rate_limit import RateLimiter
from irmsentinel.collector.records import Row
from irmsentinel.content.artefacts import Column

#: The least privileged application permission: learn.microsoft.com/graph/api/security-list-alerts_v2.
PERMISSION = "SecurityAlert.Read.All"
SERVICE_SOURCE = "microsoftInsiderRiskManagement"
#: Requests a minute for one application in one tenant: learn.microsoft.com/graph/throttling-limits.
PER_MINUTE = 150
#: Defender XDR keeps alerts for 180 days, in seconds.
RETENTION = 180 * 24 * 3600
_PATH = "/v1.0/security/alerts_v2"
#: Without it, Graph sends `unknownFutureValue` in place of newer words such as the source's.
_HEADERS = {"Prefer": "include-unknown-enum-members"}
_UPDATED = "lastUpdateDateTime"
_PAGE_SIZE = 100  # that of Microsoft's example; the largest is unpublished
_READINGS = 5
_USER_EVIDENCE = "#microsoft.graph.security.userEvidence"
#: Field → column, where Azure Monitor reserves the field's name.
_COLUMNS = {"id": "AlertId", "title": "AlertTitle"}
_FOREIGN_ALERT = ErrorMeaning(
    ErrorKind.SETTINGS,
    "Microsoft Graph lists an alert that is not one of Insider Risk Management, or does not say so",
    "Check whether a proxy changes requests: the filter and the header Prefer must arrive. "
    "If it does not, report this to Microsoft.",
)


class GraphAlerts:
    """One tenant's IRM alerts in Microsoft Graph.

    Every method raises TokenTrouble and IrmError; a missing permission is a ConfigurationError that names it.
    """

    name = "Microsoft Graph"
    max_window = retention = RETENTION

    def __init__(self, client: GraphClient, limiter: RateLimiter) -> None:
        self._client = client
        self._limiter = limiter

    def close(self) -> None:
        """Do nothing: each request has a connection of its own."""

    def check(self) -> float:
        """The service's own time in seconds since 1970."""
        self._client.begin()
        return next(self._pages(0, page_size=1)).at

    def content(self, start: int, end: int) -> Iterator[ContentItem]:
        """The versions made since ``start``, also those after ``end``, each at least once."""
        seen: set[str] = set()
        began = 0.0
        for reading in range(_READINGS):
            pages, missed = 0, False
            for page in self._pages(start):
                pages += 1
                began = began or page.at
                for alert in page.items:
                    name, at = version(alert), _seconds(alert.get(_UPDATED), start)
                    if name in seen:
                        continue
                    seen.add(name)
                    missed = missed or (reading > 0 and at < began)
                    # A time outside the window would hold or move the cursor to where nothing was listed.
                    yield ContentItem(name, "", min(max(at, start), end - 1), alert)
            if pages == 1 or (reading > 0 and not missed):
                return
        raise WaitError(
            f"the list of alerts lost entries during each of {_READINGS} readings",
            where=self.name,
            next_step="What was read is stored. The next run reads the list again.",
        )

    def records(self, item: ContentItem, *, attempts: int) -> list[Any]:
        """The alert of an item. Raises ApiError if it is not one of Insider Risk Management."""
        if str(item.record.get("serviceSource")).lower() != SERVICE_SOURCE.lower():
            raise ApiError("foreign-alert", _FOREIGN_ALERT)
        return [item.record]

    def _pages(self, start: int, *, page_size: int = _PAGE_SIZE) -> Iterator[Page]:
        since = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = quote(f"serviceSource eq '{SERVICE_SOURCE}' and {_UPDATED} ge {since}")
        path = f"{_PATH}?$filter={wanted}&$top={page_size}"
        self._limiter.acquire()
        try:
            for page in self._client.pages(path, PERMISSION, _HEADERS):
                yield page
                if page.next_link:
                    self._limiter.acquire()
        except ResyncRequired:
            raise WaitError(
                "Microsoft Graph no longer knows this page of the list",
                where=self.name,
                next_step="The next run reads the list again.",
            ) from None


def credential(tokens: TokenSource) -> Callable[[], TokenCredential]:
    """Makes credentials for `GraphClient`: each further one gets a new token, as the last was rejected."""
    made = False

    def make() -> TokenCredential:
        nonlocal made
        if made:
            tokens.refresh()
        made = True
        return _Credential(tokens)

    return make


class _Credential:
    """A token source as azure-core asks it: for each request, because the source knows a token's age."""

    def __init__(self, tokens: TokenSource) -> None:
        self._tokens = tokens

    def get_token(self, *_scopes: str, **_more: Any) -> AccessToken:
        return AccessToken(self._tokens.token(), 0)


def version(alert: Mapping[str, Any]) -> str:
    """The identity of a version of an alert: id and time of the update, or all of it if it lacks one."""
    parts = [alert.get("id"), alert.get(_UPDATED)]
    return "|".join(map(str, parts)) if all(parts) else json.dumps(alert, sort_keys=True)


def row(alert: Mapping[str, Any], columns: tuple[Column, ...]) -> Row:
    """The row of an alert for IRMAlertsGraph_CL: each field in the column of its name.

    The evidence about users has a column of its own: if other evidence is too large for the service, the user
    is not cut off with it.
    """
    found = {_COLUMNS.get(name, name[:1].upper() + name[1:]): value for name, value in alert.items()}
    evidence = alert.get("evidence")
    if isinstance(evidence, list):
        found["UserEvidence"] = [one for one in evidence if _is_about_a_user(one)]
        found["Evidence"] = [one for one in evidence if not _is_about_a_user(one)]
    made = records.row(found, columns)
    return replace(made, key=records.key(version(alert)), day=records.day(alert.get(_UPDATED)))


def _is_about_a_user(evidence: Any) -> bool:
    return isinstance(evidence, dict) and evidence.get("@odata.type") == _USER_EVIDENCE


def _seconds(text: Any, default: float) -> float:
    """A time as seconds since 1970; ``default`` if it cannot be read."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return default
