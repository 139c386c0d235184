"""Times as spreadsheets, portals and people write them: ``20.11.2026 09:15``, ``11/20/2026, 9:15 AM``.

The order of day, month and year is told, never guessed; ``orders`` says which orders a text allows. Only
English names of months are read. A year of two digits is in this century. The result is text in ISO 8601,
which ``times`` reads: it checks the calendar and knows the time zones.
"""

from __future__ import annotations

import re
from functools import lru_cache

from irmcore.reasons import Refused

#: The orders of numbers, and ``named`` for a month with its name.
ORDERS = ("dmy", "mdy", "ymd", "named")

_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_NUMBER_OF = {name[:length]: n for n, name in enumerate(_MONTHS, start=1) for length in (3, len(name))}
_NUMBER_OF["sept"] = 9

_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,? +)?"
_CLOCK = (
    r"(?:(?:,? *@ *|, *|T| +)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]{1,9}))?)?(?:[ \u00a0\u202f]?(?P<half>[ap])\.?m\.?)?)?"
)
_ZONE = r"(?: *(?P<zone>z|utc|gmt|[+-][0-9]{2}(?::?[0-9]{2})?))?"
_NUMBERS = re.compile(
    r"(?P<a>[0-9]{1,4})(?P<sign>[./-])(?P<b>[0-9]{1,2})(?P=sign)(?P<c>[0-9]{4}|[0-9]{1,2})" + _CLOCK + _ZONE,
    re.IGNORECASE,
).fullmatch
_NAMED = tuple(
    re.compile(_WEEKDAY + form, re.IGNORECASE).fullmatch
    for form in (
        r"(?P<month>[a-z]{3,9})\.? (?P<day>[0-9]{1,2}),? (?P<year>[0-9]{4})" + _CLOCK + _ZONE,
        r"(?P<day>[0-9]{1,2})[ -](?P<month>[a-z]{3,9})\.?,?[ -](?P<year>[0-9]{4})" + _CLOCK + _ZONE,
        # as C's ctime writes it: the year is at the end
        r"(?P<month>[a-z]{3}) +(?P<day>[0-9]{1,2})" + _CLOCK + r" (?P<year>[0-9]{4})" + _ZONE,
    )
)
_LONGEST = 64
_CENTURY, _YEAR_DIGITS = 2000, (2, 4)
_LAST_MONTH, _LAST_DAY, _NOON = 12, 31, 12


def iso8601(text: str, order: str) -> str:
    """The same time in ISO 8601, without an offset if the text has none. Raises Refused."""
    text = text.strip(" ")
    if len(text) > _LONGEST:
        raise Refused("time-malformed")
    if order == "named":
        return _named(text)
    found = _NUMBERS(text)
    if found is None:
        raise Refused("time-malformed")
    part = found.groupdict()
    year, month, day = _by_order(part, order)
    if len(year) not in _YEAR_DIGITS or max(len(month), len(day)) > 2:
        raise Refused("time-malformed")
    return _joined(year if len(year) == 4 else str(_CENTURY + int(year)), int(month), int(day), part)


def orders(text: str) -> tuple[str, ...]:
    """The orders in which a text is a date, whatever its month's length."""
    return tuple(order for order in ORDERS if _is_date(text, order))


def _is_date(text: str, order: str) -> bool:
    try:
        found = iso8601(text, order)
    except Refused:
        return False
    return 1 <= int(found[5:7]) <= _LAST_MONTH and 1 <= int(found[8:10]) <= _LAST_DAY


def _by_order(part: dict[str, str], order: str) -> tuple[str, str, str]:
    place = {name: part["abc"[at]] for at, name in enumerate(order)}
    return place["y"], place["m"], place["d"]


def _named(text: str) -> str:
    for form in _NAMED:
        found = form(text)
        if found is not None:
            month = _NUMBER_OF.get(found["month"].lower())
            if month is not None:
                return _joined(found["year"], month, int(found["day"]), found.groupdict())
    raise Refused("time-malformed")


def _joined(year: str, month: int, day: int, part: dict[str, str]) -> str:
    date = f"{year}-{month:02d}-{day:02d}"
    if not part["hour"]:
        if part["zone"]:
            raise Refused("time-malformed")
        return date
    hour = int(part["hour"])
    if part["half"]:
        if not 1 <= hour <= _NOON:
            raise Refused("time-malformed")
        hour = hour % _NOON + (_NOON if part["half"].lower() == "p" else 0)
    fraction = f".{part['fraction']}" if part["fraction"] else ""
    clock = f"{hour:02d}:{part['minute']}:{part['second'] or '00'}{fraction}"
    return f"{date}T{clock}{_offset(part['zone'])}"


@lru_cache(maxsize=64)
def _offset(zone: str | None) -> str:
    if not zone:
        return ""
    if zone[0] not in "+-":
        return "Z"
    return zone if len(zone) > 3 else f"{zone}:00"
