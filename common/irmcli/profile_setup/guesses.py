"""Guesses the type and role of each column of a sample, from its values first and its name second. Pure.

Each guess has a reason, in words that contain no value of the sample. A column is a user, time or number
column only if nearly all of its values are. If several columns could have a role that only one may have, the
name decides, then the order. A guess may be wrong: it is confirmed in the wizard's data type step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC

from irmcore.reasons import Refused
from irmcore.shaping import numbers, times, upn

#: The number of rows to read: the guesses do not improve with more.
ROWS = 10_000
#: The share of a column's values that must have a form, because a sample may have a few bad rows.
NEARLY_ALL = 0.9
#: A source column has few distinct values, because each is typed into the wizard.
MOST_SOURCES = 20

# Words in column names, the most significant first.
_USER_WORDS = ("userprincipalname", "upn", "principal", "user", "email", "mail", "account", "identity")
_TIME_WORDS = ("aggregationdate", "eventtime", "timestamp", "time", "date", "when")
_THRESHOLD_WORDS = ("count", "score", "risk", "total", "amount", "number", "probability", "volume", "size")
_SOURCE_WORDS = ("sourceworkload", "source", "workload", "service", "product", "vendor", "application", "app")
_LABEL_WORDS = ("id", "code", "phone", "zip", "postal", "port", "year")
_LEADING_ZERO = re.compile(r"0[0-9]+").fullmatch


@dataclass
class ColumnStats:
    """Counts of what the values of one column are; ``distinct`` is None for more than 20 different values."""

    header: str
    filled: int = 0
    users: int = 0
    numbers: int = 0
    labels: int = 0  # digits with leading zeros, which a number would lose
    forms: dict[str, int] = field(default_factory=dict)  # the number of times in each form
    distinct: set[str] | None = field(default_factory=set)

    def add(self, value: str) -> None:
        if not value:
            return
        self.filled += 1
        self.users += _good(upn.canonical, value)
        self.numbers += _good(numbers.canonical, value)
        self.labels += _LEADING_ZERO(value.strip()) is not None
        for form in _time_forms(value):
            self.forms[form] = self.forms.get(form, 0) + 1
        if self.distinct is not None:
            self.distinct.add(value)
            if len(self.distinct) > MOST_SOURCES:
                self.distinct = None

    def nearly_all(self, number: int) -> bool:
        return self.filled > 0 and number >= NEARLY_ALL * self.filled


@dataclass(frozen=True)
class Guess:
    """A column of the profile to be written; ``zoneless``: its times have no offset."""

    header: str
    type: str
    role: str
    why: str
    format: str = "auto"
    zoneless: bool = False
    required: bool = True


@dataclass(frozen=True)
class Roles:
    """The headers of columns whose role the administrator has set; None leaves a role to be guessed."""

    user: str | None = None
    time: str | None = None
    source: str | None = None
    thresholds: tuple[str, ...] | None = None


def count_values(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[ColumnStats]:
    """Counts of what the values of each column are, over at most ``ROWS`` rows."""
    found = [ColumnStats(name) for name in header]
    for _, row in zip(range(ROWS), rows, strict=False):
        for column, value in zip(found, row, strict=False):
            column.add(value)
    return found


def guess(columns: Sequence[ColumnStats], roles: Roles) -> list[Guess]:
    """One guess per column, in order."""
    user = _one(columns, roles.user, _USER_WORDS, lambda c: c.nearly_all(c.users))
    rest = [column for column in columns if column is not user]
    time = _one(rest, roles.time, _TIME_WORDS, _is_time)
    rest = [column for column in rest if column is not time]
    source = next((column for column in rest if column.header == roles.source), None)
    made = {}
    for column in columns:
        if column is user:
            made[column.header] = _user(column, roles)
        elif column is time:
            made[column.header] = _time(column, roles)
        elif column is source:
            made[column.header] = Guess(column.header, "string", "source", "set by you")
    others = [column for column in rest if column is not source]
    for column in others:
        made[column.header] = _other(column, others, roles)
    return [made[column.header] for column in columns]


def possible_source(columns: Sequence[ColumnStats], guesses: Sequence[Guess]) -> str | None:
    """The header of a column that looks like the wizard's "Source column", if there is one."""
    for column, made in zip(columns, guesses, strict=True):
        few = column.distinct is not None and len(column.distinct) > 1
        if made.type == "string" and few and _rank(column.header, _SOURCE_WORDS) < len(_SOURCE_WORDS):
            return column.header
    return None


def lacks_header(header: Sequence[str]) -> bool:
    """Whether the first line is a row instead of a header; its values would become column names."""
    return any(
        _good(upn.canonical, cell) or _time_forms(cell) or _good(numbers.canonical, cell) for cell in header
    )


def _user(column: ColumnStats, roles: Roles) -> Guess:
    if column.header == roles.user:
        why = "set by you"
    elif column.nearly_all(column.users):
        why = "nearly all values are user principal names"
    else:
        why = "its name; but its values are not user principal names, so rows will be refused"
    return Guess(column.header, "user", "user", why)


def _time(column: ColumnStats, roles: Roles) -> Guess:
    form = max(column.forms, key=lambda name: column.forms[name], default="iso8601")
    zoneless = form == "iso8601-local"
    format_name = {
        "iso8601": "ISO 8601 with an offset",
        "iso8601-local": "ISO 8601 without an offset",
        "epoch": "seconds since 1970",
        "epoch_ms": "milliseconds since 1970",
    }[form]
    why = "set by you; " if column.header == roles.time else ""
    why += (
        f"nearly all values are times: {format_name}"
        if _is_time(column)
        else "its name; but its values are not times"
    )
    return Guess(
        column.header, "datetime", "time", why, form if form.startswith("epoch") else "auto", zoneless
    )


def _other(column: ColumnStats, others: Sequence[ColumnStats], roles: Roles) -> Guess:
    header = column.header
    if header in (roles.thresholds or ()):
        return Guess(header, "number", "threshold", "set by you", required=True)
    if not _is_number(column):
        why = "text"
        if column.filled == 0:
            why = "empty in this sample"
        elif column.nearly_all(column.numbers):
            why = "digits that identify something rather than count it"
        elif _is_time(column):
            why = "times, but another column is the event time"
        elif column.nearly_all(column.users):
            why = "user principal names, but another column is the user"
        return Guess(header, "string", "information", why, required=False)
    if roles.thresholds is not None:
        return Guess(header, "number", "information", "nearly all values are numbers", required=False)
    alone = sum(map(_is_number, others)) == 1
    named = _rank(header, _THRESHOLD_WORDS) < len(_THRESHOLD_WORDS)
    if alone or named:
        why = (
            "the only number column"
            if alone
            else "nearly all values are numbers, and its name suggests a count or score"
        )
        return Guess(header, "number", "threshold", why, required=True)
    return Guess(header, "number", "information", "nearly all values are numbers", required=False)


def _is_number(column: ColumnStats) -> bool:
    label = column.labels > 0 or _rank(column.header, _LABEL_WORDS, whole=True) < len(_LABEL_WORDS)
    return column.nearly_all(column.numbers) and not label


def _is_time(column: ColumnStats) -> bool:
    iso = column.forms.get("iso8601", 0) + column.forms.get("iso8601-local", 0)
    if column.nearly_all(iso):
        return True
    # Digits are times only if the name says so: a count may have ten digits, too.
    epoch = max(column.forms.get("epoch", 0), column.forms.get("epoch_ms", 0))
    return column.nearly_all(epoch) and _rank(column.header, _TIME_WORDS) < len(_TIME_WORDS)


def _one(
    columns: Sequence[ColumnStats],
    requested: str | None,
    words: Sequence[str],
    fits: Callable[[ColumnStats], bool],
) -> ColumnStats | None:
    """The one column of a role: the requested one, else chosen by values, else by name."""
    if requested is not None:
        return next((column for column in columns if column.header == requested), None)
    candidates = [column for column in columns if fits(column)]
    if not candidates:
        candidates = [column for column in columns if _rank(column.header, words) < len(words)]
    return min(candidates, key=lambda column: _rank(column.header, words), default=None)


def _rank(header: str, words: Sequence[str], *, whole: bool = False) -> int:
    """The index of the first of ``words`` in the header; ``len(words)`` if it has none of them."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", header)
    joined = "".join(parts).lower()
    lower = {part.lower() for part in parts}
    for place, word in enumerate(words):
        if word in lower or (not whole and word in joined):
            return place
    return len(words)


def _good(convert: Callable[[str], object], value: str) -> bool:
    try:
        convert(value)
    except Refused:
        return False
    return True


def _time_forms(value: str) -> list[str]:
    """The time formats that ``value`` matches."""
    value = value.strip(" ")
    if value.replace(".", "", 1).isdigit():
        digits = len(value.partition(".")[0])
        form = {10: "epoch", 13: "epoch_ms"}.get(digits)
        return [form] if form and _good(lambda v: times.parse(v, zone=None, form=form), value) else []
    if _good(lambda v: times.parse(v, zone=None, form="iso8601"), value):
        return ["iso8601"]
    if _good(lambda v: times.parse(v, zone=UTC, form="iso8601"), value):
        return ["iso8601-local"]
    return []
