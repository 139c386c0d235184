"""What one HTTP exchange came to, as a value, and how long to wait before the next one. Pure."""

from __future__ import annotations

import datetime
import email.utils
import re
from dataclasses import dataclass
from typing import Union

#: The longest wait in seconds, whether a Retry-After asks for it or our own backoff.
MAX_WAIT = 3600.0
FIRST_WAIT = 5.0
#: The most characters of a reply's body that are read, and so a sign that it had more.
REPLY_CHARACTERS = 2048

#: What request IDs and error codes look like at Microsoft. Anything else may be an echo of the request.
_REQUEST_ID = re.compile(r"[0-9A-Fa-f-]{16,64}")
_ERROR_CODE = re.compile(r"[A-Za-z][A-Za-z_]{1,59}[0-9]{0,6}")


@dataclass(frozen=True)
class Reply:
    """An HTTP response. ``text`` is the beginning of its body, for the operator; ``wait`` in seconds.

    ``page``: the body is HTML, which the service never sends but a proxy's sign-in page does.
    ``committed``: the last bytes of the request body may have left.
    """

    status: int
    request_id: str = ""
    text: str = ""
    wait: float | None = None
    page: bool = False
    committed: bool = True


@dataclass(frozen=True)
class Failure:
    """No response. ``kind``: dns, refused, tls, proxy, proxy-auth, reset, timeout, protocol.

    ``committed``: the last bytes of the request body may have left.
    """

    kind: str
    committed: bool


Outcome = Union[Reply, Failure]


def request_id(text: object) -> str:
    """A request ID that may be stored, or ""."""
    return text if isinstance(text, str) and _REQUEST_ID.fullmatch(text) else ""


def error_code(text: object) -> str:
    """An error code of a service that may be stored and shown, or ""."""
    return text if isinstance(text, str) and _ERROR_CODE.fullmatch(text) else ""


def backoff(attempt: int, jitter: float) -> float:
    """Seconds before attempt ``attempt + 1``: 5, 10, 20 … up to an hour, less up to half by jitter.

    ``jitter`` is a random number in [0, 1).
    """
    return min(FIRST_WAIT * 2.0 ** min(attempt - 1, 20), MAX_WAIT) * (1.0 - jitter / 2)


def retry_after(header: str | None, now: float, date: str | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or an HTTP date. None if it does not.

    ``date`` is the reply's Date header. An HTTP date is compared with it, or else with ``now``: the clock of
    this machine may be wrong.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_WAIT)
    moment = _seconds(text)
    if moment is None:
        return None
    sent = _seconds(date) if date else None
    return min(max(moment - (now if sent is None else sent), 0.0), MAX_WAIT)


def _seconds(date: str) -> float | None:
    """An HTTP date in seconds since 1970, or None if it is none."""
    try:
        moment = email.utils.parsedate_to_datetime(date)
    except (TypeError, ValueError, OverflowError, IndexError):  # IndexError: Python 3.9
        return None
    if moment.tzinfo is None:  # HTTP dates are in GMT, whatever the time zone of this machine
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return moment.timestamp()
