"""Chooses the user column and the time column, or leaves the choice to a person. Pure.

The values decide which columns could have the role, the names which of them has it. A choice that could be
wrong about who or when is not made: several columns of the best rank, only targets or only index times, or
a better name above values that cannot be read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from irmcli.profile_setup import column_names
from irmcli.profile_setup.column_names import Meaning, When, Who
from irmcli.profile_setup.column_stats import ColumnStats

#: Two columns may be taken for one if their values are the same in this number of rows.
_ENOUGH_ROWS = 100


@dataclass(frozen=True)
class Candidate:
    """A column that could have a role, and what its name tells: "names a target"."""

    header: str
    why: str


@dataclass(frozen=True)
class Choice:
    """The column of a role; ``header`` is None if a person has to choose one of ``alternatives``."""

    header: str | None
    why: str
    alternatives: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class _Role:
    """What a column of a role is; ``worst`` is the worst rank that is taken without asking."""

    meaning: Callable[[str], Meaning]
    worst: int
    values: str
    prefer: Callable[[list[ColumnStats]], list[ColumnStats]]


def choose_user(columns: Sequence[ColumnStats], requested: str | None) -> Choice:
    """The column that says who did it."""
    by_value = [column for column in columns if column.nearly_all(column.users)]
    if requested is not None:
        return _requested(requested, by_value, _USER)
    named = [c for c in _named(columns, by_value, column_names.names_person) if not is_time(c)]
    # Without a principal name, a user is no better than an address without telling words: the address beside
    # a `User name` is usually the same person's. An actor is better, and anybody is better than a target.
    best = _best(by_value, _USER)
    limit = Who.ACTOR if best <= Who.UNTOLD else Who.USER
    return _choose(by_value, [c for c in named if _rank(c, _USER) <= limit], named, _USER)


def choose_time(columns: Sequence[ColumnStats], requested: str | None) -> Choice:
    """The column that says when it happened."""
    by_value = [column for column in columns if is_time(column)]
    if requested is not None:
        return _requested(requested, by_value, _TIME)
    named = _named(columns, by_value, column_names.names_time)
    return _choose(by_value, [c for c in named if _rank(c, _TIME) <= When.TIME], named, _TIME)


def _named(
    columns: Sequence[ColumnStats], by_value: Sequence[ColumnStats], names_role: Callable[[str], bool]
) -> list[ColumnStats]:
    """The other columns whose header names the role, and that have values that are not all numbers."""
    return [
        column
        for column in columns
        if column not in by_value
        and column.filled
        and names_role(column.header)
        and not column.nearly_all(column.numbers)
        and not column.nearly_all(column.clocks)
    ]


def is_time(column: ColumnStats) -> bool:
    """Whether nearly all values are times. Digits are times only if the name says so."""
    if column.nearly_all(column.iso_times) or column.nearly_all(column.written_times):
        return True
    return column.nearly_all(column.epoch_times) and column_names.names_time(column.header)


def _choose(
    by_value: Sequence[ColumnStats], unread: Sequence[ColumnStats], named: Sequence[ColumnStats], role: _Role
) -> Choice:
    """The column of the best rank among ``by_value``, else among ``named``, which have other values.

    It is not chosen if a column of ``unread`` has a better rank.
    """
    candidates = by_value or named
    if not candidates:
        return Choice(None, "")
    best = _best(candidates, role)
    first = [column for column in candidates if _rank(column, role) == best]
    same = len(first) == 1 or (
        len({column.digest for column in first}) == 1 and first[0].filled >= _ENOUGH_ROWS
    )
    first = first if same else role.prefer(first)
    unread = [column for column in unread if by_value and _rank(column, role) < best]
    if unread or best > role.worst or (len(first) > 1 and not same):
        return Choice(None, "", (*_listed(unread, role, unread=True), *_listed(candidates, role)))
    chosen = first[0]
    rest = _listed([column for column in candidates if column is not chosen], role)
    if not rest:
        why = f"the only column {'with' if by_value else 'that could hold'} {role.values}"
    elif len(first) > 1:
        why = f"has the same values as {first[1].header}"
    else:
        told = role.meaning(chosen.header)
        why = told.why if told.tells else "by elimination"
    return Choice(chosen.header, why, rest)


def _rank(column: ColumnStats, role: _Role) -> int:
    return role.meaning(column.header).rank


def _best(columns: Sequence[ColumnStats], role: _Role) -> int:
    return min((_rank(column, role) for column in columns), default=Who.TARGET)


def _listed(columns: Sequence[ColumnStats], role: _Role, *, unread: bool = False) -> tuple[Candidate, ...]:
    """The columns with what their names tell, the best first."""
    but = f", but its values are not {role.values}" if unread else ""
    ranked = sorted(columns, key=lambda column: _rank(column, role))
    return tuple(Candidate(column.header, role.meaning(column.header).why + but) for column in ranked)


def _requested(header: str, candidates: Sequence[ColumnStats], role: _Role) -> Choice:
    rest = [column for column in candidates if column.header != header]
    return Choice(header, "set by you", _listed(rest, role))


def _preferred_names(columns: list[ColumnStats]) -> list[ColumnStats]:
    """Those that name user principal names, unless one of all may be the maker of a record.

    If no column has such values, those that do not name identifiers.
    """
    if any(column_names.names_maker(column.header) for column in columns):
        return columns
    upns = [column for column in columns if column_names.names_upn(column.header)]
    read = any(column.nearly_all(column.users) for column in columns)
    names = [column for column in columns if not (read or column_names.names_id(column.header))]
    return upns or names or columns


_USER = _Role(column_names.who, Who.OWNER, "user principal names", _preferred_names)
_TIME = _Role(column_names.when, When.CREATED, "times", list)
