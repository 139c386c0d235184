"""The Office 365 Management Activity API: subscriptions, the content list, and content.

Each page of a list comes once and in order. Not tested: a live tenant. The tests use the emulator
(``irmsentinel.emulators.management_api``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from irmsentinel.collector.api_client import ATTEMPTS, ApiClient
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
_MAX_PAGES = 10_000
_NEXT_PAGE = ("nextpageuri", "nextpageurl")  # the reference has the first, another Microsoft page the second


@dataclass(frozen=True)
class ContentItem:
    """A blob of records. ``created`` in seconds since 1970; ``uri`` is empty if the list has none.

    ``record``: the record itself, if the list has it.
    """

    id: str
    uri: str
    created: float
    record: Any = None


@dataclass(frozen=True)
class Subscription:
    """An entry of ``subscriptions/list``."""

    content_type: str
    status: str


class Feed:
    """One tenant's activity feed, for any number of threads.

    Every method raises ApiError, TokenTrouble and CredentialError.
    """

    name = "Management API"
    max_window = MAX_WINDOW
    retention = RETENTION

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
        if status is None or status.lower() != "enabled":
            code = "AF20022" if status is None else "AF20023"
            raise ApiError(code, CODES[code])
        try:
            return parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return self._client.clock.now()

    def _subscriptions(self) -> tuple[Mapping[str, str], list[Subscription]]:
        headers, found = self._client.request("GET", f"{self._url}/subscriptions/list", {})
        entries = [one for one in found if isinstance(one, dict) and "contentType" in one]
        if any("status" not in one for one in entries if one["contentType"] == CONTENT_TYPE):
            raise _bad_entry("list of subscriptions")
        return headers, [Subscription(str(one["contentType"]), str(one.get("status", ""))) for one in entries]

    # -- content ------------------------------------------------------------------------

    def content(self, start: int, end: int) -> Iterator[ContentItem]:
        """The content that became available in ``start <= t < end``, from all pages.

        Whole seconds since 1970, at most a day apart. An entry without a readable time has that of ``start``.
        """
        url = f"{self._url}/subscriptions/content"
        query = {"contentType": CONTENT_TYPE, "startTime": _text(start), "endTime": _text(end)}
        seen: set[str] = set()
        while True:
            headers, items = self._client.request("GET", url, query)
            yield from (_item(raw, start, end) for raw in items)
            following = next((headers[name] for name in _NEXT_PAGE if headers.get(name)), None)
            if following is None:
                return
            if following in seen or len(seen) >= _MAX_PAGES:
                what = "the content list leads back to an earlier page, or does not end"
                raise ApiError("page-loop", ErrorMeaning(ErrorKind.WAIT, what, "The next run tries again."))
            seen.add(following)
            url, query = following, {}

    def records(self, item: ContentItem, *, attempts: int = ATTEMPTS) -> list[Any]:
        """The records of a blob. The ApiError has the kind GONE if the blob is no longer available."""
        if not item.uri:
            raise _bad_entry("content list")
        records: list[Any] = self._client.request("GET", item.uri, {}, attempts=attempts)[1]
        return records


def _item(raw: Any, start: int, end: int) -> ContentItem:
    """An entry of the list. One bad field costs as little as possible."""
    entry = raw if isinstance(raw, dict) else {}
    uri = entry.get("contentUri")
    uri = uri if isinstance(uri, str) else ""
    try:
        # A time outside the window would hold or move the cursor to where no content was listed.
        created = min(max(_seconds(entry.get("contentCreated")), start), end - 1)
    except (TypeError, ValueError, OverflowError):
        created = start
    return ContentItem(str(entry.get("contentId") or uri or json.dumps(raw)), uri, created)


def _bad_entry(of: str) -> ApiError:
    what = f"an entry of the {of} lacks a required field"
    return ApiError("bad-entry", ErrorMeaning(ErrorKind.WAIT, what, "Report this to Microsoft."))


def _seconds(text: Any) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(seconds: int) -> str:
    """A time in the API's format: whole seconds, 24-hour clock, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
