"""Errors of the Management Activity API: what each AF code means and what to do about it.

Source: the error table of Microsoft's "Office 365 Management Activity API reference". AF20024 and AF20055 are
not in it but occur in practice. The HTTP status decides only if a body has no known code: AF429 can come with
403.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class ErrorKind(enum.Enum):
    """How the client reacts to an error."""

    WAIT = "wait"  # retry a little later
    THROTTLED = "throttled"  # pause all requests, then retry
    TOKEN = "token"  # get a new token, once  # noqa: S105 - not a secret
    GONE = "gone"  # this content is no longer available: count it and continue
    SUBSCRIBE = "subscribe"  # there is no subscription
    SETTINGS = "settings"  # a person must correct something
    ALREADY = "already"  # the requested state exists already


@dataclass(frozen=True)
class ErrorMeaning:
    """How to react to an error, its message, and the operator's next step."""

    kind: ErrorKind
    message: str
    next_step: str = ""


class ApiError(Exception):
    """A request failed for good. ``code`` is an AF code, `http-STATUS` or a word of this package.

    ``answered``: there was an answer, or none was needed to know better.
    """

    def __init__(self, code: str, meaning: ErrorMeaning) -> None:
        super().__init__(f"{code}: {meaning.message}")
        self.code = code
        self.kind = meaning.kind
        self.message = meaning.message
        self.next_step = meaning.next_step
        self.answered = meaning is not UNREACHABLE


UNREACHABLE = ErrorMeaning(
    ErrorKind.WAIT, "the Management API cannot be reached", "The next run tries again."
)
_TENANT = "Check `tenant_id` and `cloud`."
_CLOCK = "Check the clock of this machine."
_BUG = "Report this: it is a bug in irmexport."
_RETRY = "The next run tries again."

CODES: Mapping[str, ErrorMeaning] = {
    "AF10001": ErrorMeaning(
        ErrorKind.SETTINGS,
        "the app lacks the permission ActivityFeed.Read",
        "In Entra ID, App registrations, API permissions: add Office 365 Management APIs, application "
        "permission ActivityFeed.Read, and grant admin consent.",
    ),
    "AF20001": ErrorMeaning(ErrorKind.SETTINGS, "a parameter is missing", _BUG),
    "AF20002": ErrorMeaning(
        ErrorKind.SETTINGS, "a parameter has the wrong type", "Check `publisher_id`: it must be a GUID."
    ),
    "AF20003": ErrorMeaning(ErrorKind.SETTINGS, "an expiration time is in the past", _BUG),
    "AF20010": ErrorMeaning(ErrorKind.SETTINGS, "the token belongs to another tenant", _TENANT),
    "AF20011": ErrorMeaning(
        ErrorKind.SETTINGS, "the tenant does not exist in this cloud, or was deleted", _TENANT
    ),
    "AF20012": ErrorMeaning(
        ErrorKind.SETTINGS,
        "the tenant is not set up for the API",
        "Turn on audit logging for the organization (Purview, Audit). It takes effect after some hours.",
    ),
    "AF20013": ErrorMeaning(ErrorKind.SETTINGS, "the tenant ID is not a GUID", _TENANT),
    "AF20020": ErrorMeaning(ErrorKind.SETTINGS, "the content type is unknown", _BUG),
    "AF20021": ErrorMeaning(ErrorKind.SETTINGS, "the webhook could not be validated", _BUG),
    "AF20022": ErrorMeaning(
        ErrorKind.SUBSCRIBE,
        "there is no subscription to Audit.General",
        "Run `irmexport sentinel subscribe start` once. The first content can take 12 hours to arrive.",
    ),
    "AF20023": ErrorMeaning(
        ErrorKind.SUBSCRIBE,
        "an administrator disabled the subscription to Audit.General",
        "Find out who disabled it, then run `irmexport sentinel subscribe start`. The API does not deliver "
        "events from the time in between.",
    ),
    "AF20024": ErrorMeaning(ErrorKind.ALREADY, "the subscription is already enabled"),
    "AF20030": ErrorMeaning(
        ErrorKind.SETTINGS, "the window is too long, or more than 7 days in the past", _CLOCK
    ),
    "AF20031": ErrorMeaning(
        ErrorKind.WAIT, "the service no longer knows this page of the content list", _RETRY
    ),
    "AF20050": ErrorMeaning(ErrorKind.GONE, "the content no longer exists"),
    "AF20051": ErrorMeaning(ErrorKind.GONE, "the content has expired: it is available for 7 days"),
    "AF20052": ErrorMeaning(
        ErrorKind.SETTINGS,
        "the service does not accept the ID of its own content",
        "Check `cloud`: content of one cloud cannot be fetched from another. The next run tries again.",
    ),
    "AF20053": ErrorMeaning(ErrorKind.SETTINGS, "the request names more than one language", _BUG),
    "AF20054": ErrorMeaning(ErrorKind.SETTINGS, "the language is unknown", _BUG),
    "AF20055": ErrorMeaning(
        ErrorKind.SETTINGS, "the window is too long, or more than 7 days in the past", _CLOCK
    ),
    "AF429": ErrorMeaning(ErrorKind.THROTTLED, "too many requests", "Lower `requests_per_minute`."),
    "AF50000": ErrorMeaning(ErrorKind.WAIT, "the service had an internal error", _RETRY),
}

_STATUSES: Mapping[int, ErrorMeaning] = {
    401: ErrorMeaning(
        ErrorKind.TOKEN, "the service rejects the token", "Check `tenant_id`, `app_id` and `cloud`."
    ),
    403: CODES["AF10001"],
    404: ErrorMeaning(ErrorKind.SETTINGS, "the service does not know this URL", _TENANT),
    407: ErrorMeaning(
        ErrorKind.SETTINGS,
        "the proxy requires authentication",
        "Allow this machine on the proxy, or set another `proxy`.",
    ),
    429: CODES["AF429"],
}
TOO_LARGE = ErrorMeaning(
    ErrorKind.SETTINGS,
    "the answer is larger than anything the API sends",
    "Check whether a proxy changes answers. Check `proxy`. The next run tries again.",
)
_FOREIGN_ANSWER = ErrorMeaning(
    ErrorKind.WAIT,
    "the answer does not come from the API",
    "Check whether a proxy shows a sign-in page here. Check `proxy` and `ca_file`.",
)


def meaning(code: str, status: int) -> ErrorMeaning:
    """The meaning of an error: by ``code`` if it is known, otherwise by the HTTP status."""
    if code in CODES:
        return CODES[code]
    if status in _STATUSES:
        return _STATUSES[status]
    if status == 408 or status >= 500:  # noqa: PLR2004
        return CODES["AF50000"]
    if 200 <= status < 400:  # noqa: PLR2004
        return _FOREIGN_ANSWER
    return ErrorMeaning(ErrorKind.SETTINGS, f"the service rejects the request (HTTP {status})", _BUG)
