"""Event times: ISO 8601 and epoch texts to microseconds since 1970 in UTC, and back.

Times are exact integers, never floats. Digits after the microsecond are cut off, not rounded, so a time never
moves into the next second. Only the digits 0-9 count, whatever the locale. Nothing is guessed: a time without
offset needs a zone; a local time that a DST change skipped or repeated is refused; informal forms
(``4/24/2023 5:52 AM``) need the order of their numbers (``written_times``).
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from operator import add, itemgetter
from typing import Optional
from zoneinfo import ZoneInfo

from irmcore.reasons import Refused
from irmcore.shaping import written_times

#: The values of ``form``. ``auto`` distinguishes ISO 8601 from epoch seconds by the number of digits.
FORMS = ("auto", "iso8601", "epoch", "epoch_ms", "epoch_us", *written_times.ORDERS)

#: How fine a time is written, whatever its digits: 0 to 0, 1 to 3, or more after the second.
SECONDS, MILLISECONDS, MICROSECONDS = 1, 2, 3

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
#: The first microsecond that is refused. Later times mean "never", and leave no room for spreading.
_END = (date(9999, 12, 31).toordinal() - _EPOCH_ORDINAL) * _DAY
_END_SECOND = _END // _SECOND
#: No valid time is longer. The limit bounds the arithmetic on a hostile fraction.
_LONGEST = 64

# How ``auto`` reads digits only: 1973 to 5138 in seconds, 2001 to 2286 in milliseconds, and the basic forms
# of an ordinal and a calendar date.
_SECONDS_DIGITS = range(9, 12)
_MILLISECONDS_DIGITS = 13
_DATE_DIGITS = (7, 8)
_MILLISECOND_DIGITS = 3
# Units of epoch times, as the power of ten that makes them microseconds.
_UNITS = {"epoch": 6, "epoch_ms": 3, "epoch_us": 0}
_SECONDS = _UNITS["epoch"]

# The form of nearly all rows. Values that match need no other check than the calendar's.
_COMMON = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])"
    r"(?:\.([0-9]{1,9}))?(?:Z|\+00:00|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
).fullmatch

# A lookup takes half the time of int().
_TWO_DIGITS = {f"{number:02d}": number for number in range(60)}
#: ``mm:ss`` of each second of an hour, for writing.
_SECOND_TEXTS = tuple(f"{minute}:{second}" for minute in _TWO_DIGITS for second in _TWO_DIGITS)

_HOUR_OF, _WITHIN_OF, _BRIEF_OF = (itemgetter(slice(*at)) for at in ((0, 13), (13, None), (0, 19)))
#: What follows the seconds of a UTC time with whole seconds.
_WHOLE_UTC = {
    "Z": SECONDS,
    "+00:00": SECONDS,
    ".000Z": MILLISECONDS,
    ".000000Z": MICROSECONDS,
    ".000000+00:00": MICROSECONDS,
}
#: The precision of such a time by its length, which no two of them share.
_PRECISION_OF = {len("1970-01-01T00:00:00" + end): precision for end, precision in _WHOLE_UTC.items()}

_FRACTION = r"(?:[.,](?P<fraction>[0-9]+))?"
# U+2212 is the minus sign that ISO 8601 prefers. A basic offset may follow an extended time, as strftime's
# %z writes it.
_OFFSET = (
    r"(?P<offset>[Zz]|(?P<sign>[+\-\u2212])"
    r"(?P<offset_hour>[01][0-9]|2[0-3])(?::?(?P<offset_minute>[0-5][0-9]))?)?"
)
_EXTENDED = re.compile(
    r"(?P<year>[0-9]{4})-(?:(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"|W(?P<week>[0-9]{2})-(?P<weekday>[0-9])|(?P<ordinal>[0-9]{3}))"
    r"(?:[Tt ](?P<hour>[01][0-9]|2[0-4])(?::(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9]|60))?)?"
    + _FRACTION
    + _OFFSET
    + r")?"
).fullmatch
_BASIC = re.compile(
    r"(?P<year>[0-9]{4})(?:(?P<month>[0-9]{2})(?P<day>[0-9]{2})"
    r"|W(?P<week>[0-9]{2})(?P<weekday>[0-9])|(?P<ordinal>[0-9]{3}))"
    r"(?:[Tt ](?P<hour>[01][0-9]|2[0-4])(?:(?P<minute>[0-5][0-9])(?P<second>[0-5][0-9]|60)?)?"
    + _FRACTION
    + _OFFSET
    + r")?"
).fullmatch
#: Characters of a canonical time that a precision has.
_LENGTH_OF = {SECONDS: 19, MILLISECONDS: 23, MICROSECONDS: 26}
_COUNT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?").fullmatch

_Parts = dict[str, Optional[str]]


def parse(text: str, *, zone: tzinfo | None, form: str = "auto") -> int:
    """Microseconds since 1970-01-01T00:00:00Z. The rest is as in ``read``."""
    return read(text, zone=zone, form=form)[0]


def read(text: str, *, zone: tzinfo | None, form: str = "auto") -> tuple[int, int]:
    """Microseconds since 1970-01-01T00:00:00Z, and the time's precision. Raises Refused.

    ``zone`` is the zone of times without an offset; None refuses them. ``form`` is one of FORMS. A date alone
    means the beginning of that day, which is not midnight where the clocks went forward then. Surrounding
    spaces are ignored.
    """
    if form in {"auto", "iso8601"}:
        common = _COMMON(text)
        if common is not None:
            day, hour, minute, second, fraction, sign, offset_hour, offset_minute = common.groups()
            seconds = (
                _calendar_day(day) * 86_400
                + _TWO_DIGITS[hour] * 3_600
                + _TWO_DIGITS[minute] * 60
                + _TWO_DIGITS[second]
            )
            if sign is not None:
                offset = _TWO_DIGITS[offset_hour] * 3_600 + _TWO_DIGITS[offset_minute] * 60
                seconds += offset if sign == "-" else -offset
            if not 0 <= seconds < _END_SECOND:
                raise Refused("time-out-of-range")
            if fraction is None:
                return seconds * _SECOND, SECONDS
            return seconds * _SECOND + int(fraction[:6].ljust(6, "0")), _precision(len(fraction))
    return _uncommon(text.strip(" "), zone, form)


def canonical(microseconds: int) -> str:
    """A time as ``yyyy-mm-ddThh:mm:ss.nnnnnn+00:00``, the form on Microsoft's page."""
    second, below = divmod(microseconds, _SECOND)
    hour, second = divmod(second, 3_600)
    return f"{_hour_text(hour)}:{_SECOND_TEXTS[second]}.{below:06d}+00:00"


def brief(microseconds: int) -> str:
    """The canonical text without the offset, and without a fraction of zero."""
    text = canonical(microseconds)
    return text[:26] if microseconds % _SECOND else text[:19]


def written(microseconds: int, precision: int) -> str:
    """A time in UTC with the digits of its precision: ``2026-11-20T09:15:00.250Z``."""
    return f"{canonical(microseconds)[: _LENGTH_OF[precision]]}Z"


def whole(briefs: Sequence[str]) -> list[str]:
    """The canonical texts for results of ``brief``."""
    return [f"{text}+00:00" if "." in text else f"{text}.000000+00:00" for text in briefs]


def parse_all(
    texts: Sequence[str], *, zone: tzinfo | None, form: str = "auto"
) -> tuple[list[int], list[str], bytes]:
    """The time of each text as ``read`` gives it, its ``brief`` text, and its precision.

    Raises Refused if any text is refused. If all times are in UTC with whole seconds, each takes two lookups
    in C.
    """
    if form in {"auto", "iso8601"}:
        try:
            hours = map(_hours.__getitem__, map(_HOUR_OF, texts))
            found = list(map(add, hours, map(_within.__getitem__, map(_WITHIN_OF, texts))))
        except KeyError:
            pass  # some text has another form, or is not a time
        else:
            lengths = list(map(len, texts))
            precisions = bytes([_PRECISION_OF[lengths[0]]]) * len(texts) if lengths else b""
            if len(set(lengths)) > 1:
                precisions = bytes(map(_PRECISION_OF.__getitem__, lengths))
            return found, list(map(_BRIEF_OF, texts)), precisions
    pairs = [read(text, zone=zone, form=form) for text in texts]
    found = [time for time, _ in pairs]
    return found, list(map(brief, found)), bytes([precision for _, precision in pairs])


class _Hours(dict[str, int]):
    """``yyyy-mm-ddThh`` → µs. Raises KeyError for any other form, and for hours out of range."""

    def __missing__(self, hour: str) -> int:
        common = _COMMON(f"{hour}:00:00Z")
        if common is None or hour[10] != "T":
            raise KeyError(hour)
        try:
            found = parse(f"{hour}:00:00Z", zone=None)
        except Refused:
            raise KeyError(hour) from None
        return _remember(self, hour, found)


class _Within(dict[str, int]):
    """``:mm:ss`` and the end of a whole second in UTC → µs since the start of the hour. Raises KeyError."""

    def __missing__(self, text: str) -> int:
        common = _COMMON(f"1970-01-01T00{text}")
        if common is None or text[6:] not in _WHOLE_UTC:
            raise KeyError(text)
        return _remember(self, text, parse(f"1970-01-01T00{text}", zone=None))


def _remember(memory: dict[str, int], text: str, found: int) -> int:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[text] = found
    return found


_REMEMBERED = 20_000
_hours, _within = _Hours(), _Within()


def zone_named(name: str) -> tzinfo:
    """The time zone with this IANA name; ``UTC`` needs no time zone data. Raises LookupError."""
    if name == "UTC":
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # zoneinfo raises OSError on the name of a folder
        raise LookupError(
            f"{name!a} is not a known IANA time zone, such as Europe/Berlin, "
            "or this machine has no time zone data"
        ) from None


def _precision(digits: int) -> int:
    """The precision of a time with so many digits after the second."""
    if not digits:
        return SECONDS
    return MILLISECONDS if digits <= _MILLISECOND_DIGITS else MICROSECONDS


def _uncommon(text: str, zone: tzinfo | None, form: str) -> tuple[int, int]:
    """All forms that the fast path of ``parse`` does not read."""
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}")
    if len(text) > _LONGEST:
        raise Refused("time-malformed")
    if form in _UNITS:
        return _epoch(text, _UNITS[form])
    if form in written_times.ORDERS:
        # A workbook gives ISO 8601, which nothing else resembles, for what a text file has in this order.
        return _iso8601(text if _EXTENDED(text) else written_times.iso8601(text, form), zone)
    count = _COUNT(text) if form == "auto" else None
    if count is not None:
        _, whole, fraction = count.groups()
        if len(whole) in _SECONDS_DIGITS:
            return _epoch(text, _SECONDS)
        if len(whole) == _MILLISECONDS_DIGITS:
            raise Refused("time-epoch-milliseconds")
        if fraction is not None or len(whole) not in _DATE_DIGITS:
            raise Refused("time-ambiguous-digits")
    return _iso8601(text, zone)


def _in_range(microseconds: int) -> int:
    if not 0 <= microseconds < _END:
        raise Refused("time-out-of-range")
    return microseconds


def _epoch(text: str, power: int) -> tuple[int, int]:
    """A count of units, each of ten to the power of ``power`` microseconds."""
    count = _COUNT(text)
    if count is None:
        raise Refused("time-malformed")
    sign, whole, fraction = count.groups()
    # That many digits of seconds would be after the year 9999.
    if power == _SECONDS and len(whole) == _MILLISECONDS_DIGITS:
        raise Refused("time-epoch-milliseconds")
    if sign and text.strip("-0."):
        raise Refused("time-out-of-range")
    digits = fraction or ""
    return _in_range(int(whole + digits[:power].ljust(power, "0"))), _precision(
        _SECONDS - power + len(digits)
    )


def _iso8601(text: str, zone: tzinfo | None) -> tuple[int, int]:
    match = _EXTENDED(text) or _BASIC(text)
    if match is None:
        raise Refused("time-malformed")
    part = match.groupdict()
    local = _day_number(part) * _DAY + _time_of_day(part)
    # A fraction of a minute or an hour says as little: its digits are taken for those of a second.
    precision = _precision(len(part["fraction"] or ""))
    offset = part["offset"]
    if offset is None:
        if zone is None:
            raise Refused("time-without-zone")
        return _in_range(local - _offset_at(local, zone, day=part["hour"] is None)), precision
    if offset not in {"Z", "z"}:
        east = int(part["offset_hour"]) * _HOUR + int(part["offset_minute"] or 0) * _MINUTE
        local -= east if part["sign"] == "+" else -east
    return _in_range(local), precision


def _time_of_day(part: _Parts) -> int:
    """Microseconds since midnight; 24:00:00 is the midnight that ends the day."""
    hour, minute, second = (int(part[name] or 0) for name in ("hour", "minute", "second"))
    fraction = part["fraction"] or "0"
    if part["hour"] == "24" and (minute or second or fraction.strip("0")):
        raise Refused("time-malformed")
    if part["second"] == "60":
        raise Refused("time-leap-second")
    if part["second"] is not None:
        last = _SECOND
    elif part["minute"] is not None:
        last = _MINUTE
    else:
        last = _HOUR
    below: int = int(fraction) * last // 10 ** len(fraction)
    return hour * _HOUR + minute * _MINUTE + second * _SECOND + below


def _day_number(part: _Parts) -> int:
    """Days since 1970-01-01."""
    year = int(part["year"] or 0)
    if part["month"] is not None:
        return _day_of_month(year, int(part["month"]), int(part["day"] or 0))
    first = _day_of_month(year, 1, 1)
    after = _day_of_month(year, 12, 31) + 1
    if part["ordinal"] is not None:
        number = first + int(part["ordinal"]) - 1
        if not first <= number < after:
            raise Refused("time-no-such-date")
        return number
    week, weekday = int(part["week"] or 0), int(part["weekday"] or 0)
    # Week 1 contains January 4th; 1970-01-01 was a Thursday. A week belongs to the year of its Thursday, so
    # week 53 exists only if its Thursday is before New Year.
    fourth = first + 3
    monday = fourth - (fourth + 3) % 7 + (week - 1) * 7
    if week < 1 or weekday not in range(1, 8) or monday + 3 >= after:
        raise Refused("time-no-such-date")
    return monday + weekday - 1


@lru_cache(maxsize=4096)
def _calendar_day(text: str) -> int:
    return _day_of_month(int(text[:4]), int(text[5:7]), int(text[8:]))


def _day_of_month(year: int, month: int, day: int) -> int:
    if year == 0:  # datetime lacks ISO 8601's year 0; the calendar repeats every 400 years
        return _day_of_month(400, month, day) - 146_097
    if month not in range(1, 13) or not 1 <= day <= monthrange(year, month)[1]:
        raise Refused("time-no-such-date")
    return date(year, month, day).toordinal() - _EPOCH_ORDINAL


def _offset_at(local: int, zone: tzinfo, *, day: bool) -> int:
    """Microseconds by which ``zone`` is ahead of UTC. Refuses local times that did not occur exactly once.

    ``day``: the local time is the midnight of a date alone. If it was skipped or repeated, the day begins at
    the change, or at the first of the two.
    """
    if not -_DAY <= local < _END + _DAY:  # beyond any offset, and within datetime's range
        raise Refused("time-out-of-range")
    wall = (_EPOCH + timedelta(seconds=local // _SECOND)).replace(tzinfo=zone)
    # PEP 495: around a change, fold=0 gives the offset before it and fold=1 the one after it.
    before, after = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    if before is None or after is None:
        raise ValueError("zone gives no UTC offset")
    # Where a whole day was skipped, as in Samoa on 2011-12-30, that date did not exist.
    if before < after and not (day and after - before < timedelta(days=1)):
        raise Refused("time-in-dst-gap")
    if before > after and not day:
        raise Refused("time-ambiguous")
    return before // timedelta(microseconds=1)


@lru_cache(maxsize=4096)
def _hour_text(hour: int) -> str:
    day, hour = divmod(hour, 24)
    return f"{date.fromordinal(day + _EPOCH_ORDINAL).isoformat()}T{hour:02d}"
