"""Event times in the one format that Microsoft's page documents.

Promised: `yyyy-mm-ddThh:mm:ss[.n…]` followed by `Z` or `+hh:mm` / `-hh:mm` is read exactly, as an integer;
everything else is refused. Not promised: that the real service refuses the same (naive times, a space for
the T, offsets without a colon). That is undocumented, and a file that passes the strict reading is safe.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from irmemulator.settings import TimePrecision

_STEP_US: dict[TimePrecision, int] = {"us": 1, "ms": 1_000, "s": 1_000_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION_DIGITS = 6

# Up to 9 digits of fraction: .NET writes 7, some systems 9. Digits beyond the µs are cut off.
_FORMAT = re.compile(
    r"(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?"
    r"(?:Z|(?P<sign>[+-])(?P<hours>[01]\d|2[0-3]):(?P<minutes>[0-5]\d))",
    re.ASCII,
)


def parse_time(text: str, precision: TimePrecision = "us") -> int | None:
    """An event time as µs since 1970-01-01T00:00Z, cut to ``precision``; None if it is not in the format."""
    match = _FORMAT.fullmatch(text)
    if match is None:
        return None
    offset = timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
    zone = timezone(-offset if match["sign"] == "-" else offset)
    try:
        # Not strptime: it accepts a leap second, and it is slow on thousands of rows.
        whole = datetime.fromisoformat(match["second"]).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        # 2023-02-30, 24:00:00, a leap second; or a time that is outside the years 1-9999 in UTC.
        return None
    fraction = (match["fraction"] or "")[:_FRACTION_DIGITS].ljust(_FRACTION_DIGITS, "0")
    exact = (whole - _EPOCH) // timedelta(microseconds=1) + int(fraction)
    step = _STEP_US[precision]
    return exact // step * step


def format_time(instant: int) -> str:
    """µs since 1970 as `yyyy-mm-ddThh:mm:ss.nnnnnnZ`."""
    moment = _EPOCH + timedelta(microseconds=instant)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
