"""The ``timespan`` of a query: an ISO 8601 duration, or an interval (two times, or a time and a duration)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def parse_timespan(text: str, now: datetime) -> tuple[datetime, datetime]:
    """Start and end of a time span; a duration alone ends at ``now``. Raises ValueError."""
    first, slash, second = text.partition("/")
    try:
        if not slash:
            return now - _duration(first), now
        if second.startswith("P"):
            return _moment(first), _moment(first) + _duration(second)
        if first.startswith("P"):
            return _moment(second) - _duration(first), _moment(second)
        return _moment(first), _moment(second)
    except OverflowError:
        raise ValueError("a time outside the calendar") from None


def _moment(text: str) -> datetime:
    """A time. Azure takes one without an offset as UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError("not an ISO 8601 duration")
    weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
