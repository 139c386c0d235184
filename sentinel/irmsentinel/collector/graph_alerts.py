"""Microsoft Graph's list of security alerts as a source of IRM alerts, one record a version.

`irmcore.alert_list` has what is promised of the list. Unpublished and so unverified: whether
``providerAlertId`` is the AlertId of the audit records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from azure.core.credentials import AccessToken, TokenCredential
from irmcore import alert_list
from irmcore.errors import WaitError
from irmcore.http.auth import TokenSource

from irmsentinel.azure.graph_client import GraphClient, Page, ResyncRequired
from irmsentinel.collector import records
from irmsentinel.collector.api_errors import ApiError, ErrorKind, ErrorMeaning
from irmsentinel.collector.management_api import ContentItem
from irmsentinel.collector.rate_limit import RateLimiter
from irmsentinel.collector.records import Row
from irmsentinel.content.artefacts import Column

#: Requests a minute for one application in one tenant: learn.microsoft.com/graph/throttling-limits.
PER_MINUTE = 150
#: Defender XDR keeps alerts for 180 days, in seconds.
RETENTION = 180 * 24 * 3600
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
        for version in alert_list.versions(lambda: self._pages(start), start, self.name):
            # A time outside the window would hold or move the cursor to where nothing was listed.
            yield ContentItem(version.name, "", min(max(version.at, start), end - 1), version.alert)

    def records(self, item: ContentItem, *, attempts: int) -> list[Any]:
        """The alert of an item. Raises ApiError if it is not one of Insider Risk Management."""
        if not alert_list.is_of_irm(item.record):
            raise ApiError("foreign-alert", _FOREIGN_ALERT)
        return [item.record]

    def _pages(self, start: int, *, page_size: int = alert_list.PAGE_SIZE) -> Iterator[Page]:
        path = alert_list.path(start, page_size)
        self._limiter.acquire()
        try:
            for page in self._client.pages(path, alert_list.PERMISSION, alert_list.HEADERS):
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


def row(alert: Mapping[str, Any], columns: tuple[Column, ...]) -> Row:
    """The row of an alert for IRMAlertsGraph_CL: each field in the column of its name.

    The evidence about users has a column of its own: if other evidence is too large for the service, the user
    is not cut off with it.
    """
    found = {_COLUMNS.get(name, name[:1].upper() + name[1:]): value for name, value in alert.items()}
    evidence = alert.get("evidence")
    if isinstance(evidence, list):
        found["UserEvidence"] = [one for one in evidence if alert_list.is_about_a_user(one)]
        found["Evidence"] = [one for one in evidence if not alert_list.is_about_a_user(one)]
    made = records.row(found, columns)
    return replace(
        made, key=records.key(alert_list.version(alert)), day=records.day(alert.get(alert_list.UPDATED))
    )
