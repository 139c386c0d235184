"""Guesses the type and role of each column of a sample, from its values first and its name second. Pure.

Each guess has a reason, in words that contain no value of the sample. A column is a user, time or number
column only if nearly all of its values are. A user or a time that could be the wrong one is not guessed:
``choice`` leaves it to a person. Identifiers are never thresholds. A guess is confirmed in the wizard's data
type step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from irmcli.profile_setup.choice import Choice, choose_time, choose_user, is_time
from irmcli.profile_setup.column_names import names_amount, names_identifier, words
from irmcli.profile_setup.column_stats import ColumnStats

_SOURCES = {"source", "workload", "service", "product", "vendor", "application", "app"}


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
            made.append(_time(column, roles))
        elif column.header == roles.source:
            made.append(Guess(column.header, "string", "source", "set by you"))
        else:
            made.append(_other(column, others, roles))
    return Guesses(made, user, time)


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
        if is_time(column)
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
        elif is_time(column):
            why = "times, but another column is the event time"
        elif column.nearly_all(column.numbers):
            why = "digits that identify something rather than count it"
        elif column.nearly_all(column.users):
            why = "user principal names, but another column is the user"
        return Guess(header, "string", "information", why, required=False)
    if roles.thresholds is not None:
        return Guess(header, "number", "information", "nearly all values are numbers", required=False)
    alone = sum(map(_is_number, others)) == 1
    if alone or names_amount(header):
        why = (
            "the only number column"
            if alone
            else "nearly all values are numbers, and its name suggests a count or score"
        )
        return Guess(header, "number", "threshold", why, required=True)
    return Guess(header, "number", "information", "nearly all values are numbers", required=False)


def _is_number(column: ColumnStats) -> bool:
    if not column.nearly_all(column.numbers) or column.labels:
        return False
    if names_amount(column.header):
        return True
    return not names_identifier(column.header) and not column.looks_like_identifiers and not is_time(column)
