"""Guesses the type and role of each column of a sample, from its values first and its name second. Pure.

Each guess has a reason, in words that contain no value of the sample. A column is a user, time or number
column only if nearly all of its values are. A user or a time that could be the wrong one is not guessed:
``choice`` leaves it to a person. Identifiers are never thresholds. A guess is confirmed in the wizard's data
type step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from irmcli.profile_setup.choice import Choice, choose_time, choose_user, is_time
from irmcli.profile_setup.column_names import (
    names_amount,
    names_identifier,
    names_severity,
    names_utc,
    words,
)
from irmcli.profile_setup.column_stats import ColumnStats
from irmcli.profile_setup.severities import hint, severity_map

_SOURCES = {"source", "workload", "service", "product", "vendor", "application", "app"}


@dataclass(frozen=True)
class Guess:
    """A column of the profile to be written; ``zoneless``: its times have no offset.

    ``utc``: its name says that they are in UTC. ``orders`` are the orders of day and month that its dates
    allow, if a person has to choose. ``time_field`` is the column of the time of day. ``severities`` are the
    words that are mapped, ``hint`` lines on what a person has to decide. ``gaps``: some cells are empty.
    """

    header: str
    type: str
    role: str
    why: str
    format: str = "auto"
    zoneless: bool = False
    required: bool = True
    utc: bool = False
    orders: tuple[str, ...] = ()
    time_field: str | None = None
    severities: dict[str, str] | None = None
    hint: tuple[str, ...] = ()
    gaps: bool = False


@dataclass(frozen=True)
class Guesses:
    """One guess per column, in order, and how the user and the time were chosen, if they were."""

    columns: list[Guess]
    user: Choice
    time: Choice


@dataclass(frozen=True)
class Roles:
    """The headers of columns whose role the administrator has set; None leaves a role to be guessed."""

    user: str | None = None
    time: str | None = None
    source: str | None = None
    thresholds: tuple[str, ...] | None = None
    dates: str | None = None


def guess(columns: Sequence[ColumnStats], roles: Roles) -> Guesses:
    """The guesses about all columns. A user or time that a person has to choose is no column's role."""
    user = choose_user([column for column in columns if column.header != roles.time], roles.user)
    time = choose_time([column for column in columns if column.header != user.header], roles.time)
    others = [column for column in columns if column.header not in (user.header, time.header, roles.source)]
    made = []
    for column in columns:
        if column.header == user.header:
            made.append(_user(column, roles))
        elif column.header == time.header:
            made.append(form_of_times(column, columns, roles))
        elif column.header == roles.source:
            made.append(
                Guess(column.header, "string", "source", "set by you", gaps=_has_gaps(column, columns))
            )
        else:
            other = _severity(column, roles) or _other(column, others, roles)
            made.append(replace(other, gaps=_has_gaps(column, columns)))
    return Guesses(made, user, time)


def _has_gaps(column: ColumnStats, columns: Sequence[ColumnStats]) -> bool:
    return column.filled < max(each.filled for each in columns)


def possible_source(columns: Sequence[ColumnStats], guesses: Sequence[Guess]) -> str | None:
    """The header of a column that looks like the wizard's "Source column", if there is one."""
    for column, made in zip(columns, guesses, strict=True):
        few = column.distinct is not None and len(column.distinct) > 1
        if made.type == "string" and few and not _SOURCES.isdisjoint(words(column.header)):
            return column.header
    return None


def _user(column: ColumnStats, roles: Roles) -> Guess:
    if column.header == roles.user:
        why = "set by you"
    elif column.nearly_all(column.users):
        why = "nearly all values are user principal names"
    else:
        why = "its name; but its values are not user principal names"
    return Guess(column.header, "user", "user", why)


#: How forms of times are called.
FORM_NAMES = {
    "iso8601": "ISO 8601 with an offset",
    "iso8601-local": "ISO 8601 without an offset",
    "epoch": "seconds since 1970",
    "epoch_ms": "milliseconds since 1970",
    "epoch_us": "microseconds since 1970",
    "dmy": "day, month, year",
    "mdy": "month, day, year",
    "ymd": "year, month, day",
    "named": "months with names",
}


def form_of_times(column: ColumnStats, columns: Sequence[ColumnStats], roles: Roles, why: str = "") -> Guess:
    """The guess about a column of times; ``why`` it is one, before the reason for its form."""
    form = max(column.forms, key=lambda name: column.forms[name], default="iso8601")
    orders: tuple[str, ...] = ()
    if form in column.orders:
        orders = tuple(column.orders)
        if roles.dates is not None or len(orders) == 1:
            form, orders = roles.dates or orders[0], ()
    clocks = [each.header for each in columns if each is not column and each.nearly_all(each.clocks)]
    clock = clocks[0] if len(clocks) == 1 and column.nearly_all(column.days) else None
    zoneless = form == "iso8601-local" or column.nearly_all(column.local)
    why += "set by you; " if column.header == roles.time else ""
    if not is_time(column):
        why += "its name; but its values are not times"
    elif orders:
        why += "nearly all values are dates"
    else:
        why += f"nearly all values are times: {FORM_NAMES[form]}"
    if clock is not None and form.startswith("iso8601"):
        form = "ymd"  # which reads times of day that ISO 8601 does not have: 9:15 AM
    return Guess(
        column.header,
        "datetime",
        "time",
        why,
        "auto" if form.startswith("iso8601") else form,
        zoneless,
        utc=names_utc(column.header) or (clock is not None and names_utc(clock)),
        orders=orders,
        time_field=clock,
    )


def _other(column: ColumnStats, others: Sequence[ColumnStats], roles: Roles) -> Guess:
    header = column.header
    if header in (roles.thresholds or ()):
        return Guess(header, "number", "threshold", "set by you", required=True)
    if not _is_number(column):
        why = "text"
        if column.filled == 0:
            why = "empty in this sample"
        elif is_time(column):
            why = "times, but another column is the event time"
        elif column.nearly_all(column.numbers):
            why = "digits that identify something rather than count it"
        elif column.nearly_all(column.users):
            why = "user principal names, but another column is the user"
        return Guess(header, "string", "information", why, required=False)
    if roles.thresholds is not None:
        return Guess(header, "number", "information", "nearly all values are numbers", required=False)
    if 2 * column.filled < max(each.filled for each in others):
        why = "numbers, but less than half of the rows have one"
        return Guess(header, "number", "information", why, required=False)
    alone = sum(map(_is_number, others)) == 1
    if alone or names_amount(header):
        why = (
            "the only number column"
            if alone
            else "nearly all values are numbers, and its name suggests a count or score"
        )
        return Guess(header, "number", "threshold", why, required=True)
    return Guess(header, "number", "information", "nearly all values are numbers", required=False)


def _severity(column: ColumnStats, roles: Roles) -> Guess | None:
    """The guess about a column that tells how bad something is; None for any other."""
    header, values = column.header, column.distinct or set()
    if not names_severity(header) or header in (roles.thresholds or ()):
        return None
    severities = severity_map(values)
    if severities is not None:
        return Guess(header, "string", "information", "severities", required=False, severities=severities)
    advice = () if names_amount(header) or is_time(column) else hint(header, values)
    if not advice:
        return None
    why = "perhaps severities; its comment in the profile says how to send them as words"
    return Guess(header, "string", "information", why, required=False, hint=advice)


def _is_number(column: ColumnStats) -> bool:
    if not column.nearly_all(column.numbers) or column.labels:
        return False
    if column.header.rpartition(".")[2] == "_score":  # Elasticsearch's: how well a row matches the search
        return False
    if names_amount(column.header):
        return True
    return not names_identifier(column.header) and not column.looks_like_identifiers and not is_time(column)
