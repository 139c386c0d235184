"""What an error of the Management Activity API means: by its AF code, in plain words.

Source: the error table of Microsoft's "Office 365 Management Activity API reference"; AF20024 and AF20055
are not in it but are met in the field. The HTTP status decides only where a body has no code: AF429 can come
as 403.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class ErrorKind(enum.Enum):
    """What is done about an error."""

    WAIT = "wait"  # ask again, a little later
    THROTTLED = "throttled"  # everybody waits, then ask again
    TOKEN = "token"  # a new token, once  # noqa: S105 - a word, no secret
    GONE = "gone"  # this content is no more: count it, go on
    SUBSCRIBE = "subscribe"  # there is no subscription
    SETTINGS = "settings"  # a person puts it right
    ALREADY = "already"  # what was asked for is so


@dataclass(frozen=True)
class ErrorMeaning:
    """An error's kind, what it says, and the next step."""

    kind: ErrorKind
    words: str
    next_step: str = ""


_TENANT = "Check `tenant_id` and `cloud`."
_CLOCK = "Check the clock of this machine: windows are counted back from the service's."
_REPORT = "Report this: it is a fault of irmexport."
_AGAIN = "The next run asks again."

CODES: Mapping[str, ErrorMeaning] = {
    "AF10001": ErrorMeaning(
        ErrorKind.SETTINGS,
        "the app lacks the permission ActivityFeed.Read",
        "Entra ID, App registrations, API permissions: Office 365 Management APIs, application permission "
        "ActivityFeed.Read, and grant admin consent.",
    ),
    "AF20001": ErrorMeaning(ErrorKind.SETTINGS, "a parameter is missing", _REPORT),
    "AF20002": ErrorMeaning(
        ErrorKind.SETTINGS, "a parameter has the wrong type", "Check `publisher_id`: it is a GUID."
    ),
    "AF20003": ErrorMeaning(ErrorKind.SETTINGS, "an expiration lies in the past", _REPORT),
    "AF20010": ErrorMeaning(ErrorKind.SETTINGS, "the token is another tenant's", _TENANT),
    "AF20011": ErrorMeaning(
        ErrorKind.SETTINGS, "this cloud does not know the tenant, or it was deleted", _TENANT
    ),
    "AF20012": ErrorMeaning(
        ErrorKind.SETTINGS,
        "the tenant is not set up for the API",
        "Turn on audit logging for the organisation (Purview, Audit); it takes hours to work.",
    ),
    "AF20013": ErrorMeaning(ErrorKind.SETTINGS, "the tenant is no GUID", _TENANT),
    "AF20020": ErrorMeaning(ErrorKind.SETTINGS, "the content type is unknown", _REPORT),
    "AF20021": ErrorMeaning(ErrorKind.SETTINGS, "the webhook could not be validated", _REPORT),
    "AF20022": ErrorMeaning(
        ErrorKind.SUBSCRIBE,
        "there is no subscription to Audit.General",
        "Run `irmexport sentinel subscribe start` once; the first content can take 12 hours.",
    ),
    "AF20023": ErrorMeaning(
        ErrorKind.SUBSCRIBE,
        "an administrator disabled the subscription to Audit.General",
        "Ask who did, then `irmexport sentinel subscribe start`; what happened in between is not delivered.",
    ),
    "AF20024": ErrorMeaning(ErrorKind.ALREADY, "the subscription is enabled already"),
    "AF20030": ErrorMeaning(
        ErrorKind.SETTINGS,
        "the service finds the window too long, or more than 7 days back",
        _CLOCK,
    ),
    "AF20031": ErrorMeaning(ErrorKind.WAIT, "the service no longer knows this page of the list", _AGAIN),
    "AF20050": ErrorMeaning(ErrorKind.GONE, "the content does not exist any more"),
    "AF20051": ErrorMeaning(ErrorKind.GONE, "the content has expired: it is kept for 7 days"),
    "AF20052": ErrorMeaning(ErrorKind.WAIT, "the service does not understand its own content id", _AGAIN),
    "AF20053": ErrorMeaning(ErrorKind.SETTINGS, "more than one language was asked for", _REPORT),
    "AF20054": ErrorMeaning(ErrorKind.SETTINGS, "the language is not understood", _REPORT),
    "AF20055": ErrorMeaning(
        ErrorKind.SETTINGS,
        "the service finds the window too long, or more than 7 days back",
        _CLOCK,
    ),
    "AF429": ErrorMeaning(ErrorKind.THROTTLED, "too many requests", "Lower `requests_per_minute`."),
    "AF50000": ErrorMeaning(ErrorKind.WAIT, "the service failed", _AGAIN),
}

_STATUSES: Mapping[int, ErrorMeaning] = {
    401: ErrorMeaning(
        ErrorKind.TOKEN, "the service does not accept the token", "Check `tenant_id`, `app_id` and `cloud`."
    ),
    403: CODES["AF10001"],
    404: ErrorMeaning(ErrorKind.SETTINGS, "the address is unknown", _TENANT),
    407: ErrorMeaning(
        ErrorKind.SETTINGS, "the proxy asks for a sign-in", "Let this machine pass, or set another `proxy`."
    ),
    429: CODES["AF429"],
}
_NOT_ITS_OWN = ErrorMeaning(
    ErrorKind.WAIT,
    "what answers is not the API",
    "Does a proxy show a sign-in page here? Check `proxy` and `ca_file`.",
)


def meaning(code: str, status: int) -> ErrorMeaning:
    """The meaning of an error: by ``code`` if it is known, else by the HTTP status."""
    if code in CODES:
        return CODES[code]
    if status in _STATUSES:
        return _STATUSES[status]
    if status == 408 or status >= 500:  # noqa: PLR2004
        return CODES["AF50000"]
    if 200 <= status < 400:  # noqa: PLR2004
        return _NOT_ITS_OWN
    return ErrorMeaning(ErrorKind.SETTINGS, f"the service refuses the request (HTTP {status})", _REPORT)
