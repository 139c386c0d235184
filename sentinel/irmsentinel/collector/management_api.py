"""The Office 365 Management Activity API: subscriptions, the content list, and content.

Each page of a list comes once and in order. Not tested: a live tenant. The tests use the emulator
(``irmsentinel.emulators.management_api``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from irmsentinel.collector.api_client import ApiClient
from irmsentinel.collector.api_errors import CODES, ApiError, ErrorKind, ErrorMeaning

#: Microsoft's reference, "Office 365 Management Activity API": the root of the service in each cloud.
HOSTS = {
    "commercial": "https://manage.office.com",
    "gcc": "https://manage-gcc.office.com",
    "gcc-high": "https://manage.office365.us",
    "dod": "https://manage.protection.apps.mil",
}
CONTENT_TYPE = "Audit.General"  # the only content type with IRM alerts
#: The API's limits: seconds in one window, and seconds back from now.
MAX_WINDOW = 24 * 3600
RETENTION = 7 * 24 * 3600
_NEXT_PAGE = ("nextpageuri", "nextpageurl")  # the reference has the first, another Microsoft page the second


@dataclass(frozen=True)
class ContentItem:
    """A blob of records that can be fetched. Times in seconds since 1970."""

    id: str
    uri: str
    created: float
    expires: float


@dataclass(frozen=True)
class Subscription:
    """An entry of ``subscriptions/list``."""

    content_type: str
    status: str


class Feed:
    """One tenant's activity feed, for any number of threads.

    Every method raises ApiError, TokenTrouble and CredentialError.
    """

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._url = client.account.feed_url

    def close(self) -> None:
        """Close all connections; the next request opens one."""
        self._client.close()

    # -- subscriptions ------------------------------------------------------------------

    def start(self) -> bool:
        """Subscribe to Audit.General; False if there was a subscription."""
        return self._subscription("start", unchanged=ErrorKind.ALREADY)

    def stop(self) -> bool:
        """End the subscription; False if there was none."""
        return self._subscription("stop", unchanged=ErrorKind.SUBSCRIBE)

    def _subscription(self, action: str, *, unchanged: ErrorKind) -> bool:
        try:
            self._client.request("POST", f"{self._url}/subscriptions/{action}", {"contentType": CONTENT_TYPE})
        except ApiError as error:
            if error.kind is unchanged:
                return False
            raise
        return True

    def subscriptions(self) -> list[Subscription]:
        """All subscriptions of the tenant."""
        return self._subscriptions()[1]

    def check(self) -> float:
        """The service's own time in seconds since 1970; windows are counted back from it.

        Raises ApiError also if there is no enabled subscription.
        """
        headers, found = self._subscriptions()
        status = {one.content_type: one.status for one in found}.get(CONTENT_TYPE)
        if status != "enabled":
            code = "AF20022" if status is None else "AF20023"
            raise ApiError(code, CODES[code])
        try:
            return parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, ValueError):
            return self._client.clock.now()

    def _subscriptions(self) -> tuple[Mapping[str, str], list[Subscription]]:
        headers, found = self._client.request("GET", f"{self._url}/subscriptions/list", {})
        try:
            return headers, [Subscription(str(one["contentType"]), str(one["status"])) for one in found]
        except (KeyError, TypeError):
            raise _bad_entry("list of subscriptions") from None

    # -- content ------------------------------------------------------------------------

    def content(self, start: int, end: int) -> Iterator[ContentItem]:
        """The content that became available in ``start <= t < end``, from all pages.

        Whole seconds since 1970, at most a day apart.
        """
        url = f"{self._url}/subscriptions/content"
        query = {"contentType": CONTENT_TYPE, "startTime": _text(start), "endTime": _text(end)}
        seen: set[str] = set()
        while True:
            headers, items = self._client.request("GET", url, query)
            yield from map(_item, items)
            following = next((headers[name] for name in _NEXT_PAGE if headers.get(name)), None)
            if following is None:
                return
            if following in seen:
                what = "the content list leads back to an earlier page"
                raise ApiError("page-loop", ErrorMeaning(ErrorKind.WAIT, what, "The next run tries again."))
            seen.add(following)
            url, query = following, {}

    def records(self, item: ContentItem) -> list[Any]:
        """The records of a blob. The ApiError has the kind GONE if the blob is no longer available."""
        records: list[Any] = self._client.request("GET", item.uri, {})[1]
        return records


def _item(raw: Any) -> ContentItem:
    try:
        created, expires = _seconds(raw["contentCreated"]), _seconds(raw["contentExpiration"])
        return ContentItem(str(raw["contentId"]), str(raw["contentUri"]), created, expires)
    except (KeyError, TypeError, ValueError):
        raise _bad_entry("content list") from None


def _bad_entry(of: str) -> ApiError:
    what = f"an entry of the {of} lacks a required field"
    return ApiError("bad-entry", ErrorMeaning(ErrorKind.WAIT, what, "Report this to Microsoft."))


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(seconds: int) -> str:
    """A time in the API's format: whole seconds, 24-hour clock, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
