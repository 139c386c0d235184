"""Conversions from the input texts of a profile's column to canonical texts.

To add a column type, add its function and a line in ``_CONVERTERS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple, TypeVar

from irmcore.profile.model import Column
from irmcore.reasons import Refused
from irmcore.shaping import numbers, text, times, upn

Convert = Callable[[str], str]
#: Converts a whole column. Raises Refused if any of its cells is refused, without naming the cell.
ConvertAll = Callable[[Sequence[str]], Sequence[str]]

#: Distinct values of a column that are remembered. When there are more, all are dropped.
MEMORY = 20_000


Value = TypeVar("Value")


class Memo(dict[str, Value]):
    """A cache of conversions with at most ``MEMORY`` entries."""

    def __init__(self, convert: Callable[[str], Value]) -> None:
        self._convert = convert

    def __missing__(self, key: str) -> Value:
        value = self._convert(key)
        if len(self) >= MEMORY:
            self.clear()
        self[key] = value
        return value


class Given(NamedTuple):
    """What is known about all cells: the zone of times without an offset, the decimal sign of numbers.

    ``asks``: a number that can be read in two ways is refused if the sign is unknown.
    """

    zone: str | None
    decimal: str | None = None
    asks: bool = False


def _user(column: Column, given: Given) -> Convert:
    return upn.canonical


def _number(column: Column, given: Given) -> Convert:
    return numbers.reader(given.decimal, asks=given.asks)


def _datetime(column: Column, given: Given) -> Convert:
    tz = times.zone_named(given.zone) if given.zone else None
    form = column.format
    return lambda value: times.canonical(times.parse(value, zone=tz, form=form))


def _string(column: Column, given: Given) -> Convert:
    if column.related_values:
        return _domain(column.related_values, column, "source-not-related")
    if column.allowed:
        return _domain(column.allowed, column, "value-not-allowed")
    if column.longest is not None:
        return _bounded(column.longest)
    return text.canonical


_CONVERTERS: Mapping[str, Callable[[Column, Given], Convert]] = {
    "user": _user,
    "number": _number,
    "datetime": _datetime,
    "string": _string,
}


def _bounded(longest: int) -> Convert:
    def convert(value: str) -> str:
        same = text.canonical(value)  # first: what is not UTF-8 cannot be encoded
        # UTF-16 units, as .NET counts characters. Which ones the service counts is unverified; no other
        # count is larger for what people write.
        if len(same.encode("utf-16-le")) > 2 * longest:
            raise Refused("text-too-long")
        return same

    return convert


def _domain(values: tuple[str, ...], column: Column, reason: str) -> Convert:
    known = {value: value for value in values}
    known.update(column.mapping)
    otherwise = column.otherwise

    def convert(value: str) -> str:
        found = known.get(value, otherwise)
        if found is None:
            raise Refused(reason)
        return found

    return convert


def converter(column: Column, given: Given) -> Convert:
    """The conversion of single cells of ``column``, empty ones included. It raises Refused."""
    convert = _checked(column, _CONVERTERS[column.type](column, given))
    # Free text hardly ever repeats; all other values do.
    return convert if _is_free(column) else Memo(convert).__getitem__


def column_converter(column: Column, convert: Convert) -> ConvertAll:
    """The conversion of a whole column, given its ``converter``."""
    if not _is_free(column):
        return lambda cells: list(map(convert, cells))
    required, default = column.required, column.default

    def all_kept(cells: Sequence[str]) -> Sequence[str]:
        if (required or default) and "" in cells:
            if default is None:
                raise Refused("missing-value")
            cells = [cell or default for cell in cells]
        text.refuse_any(cells)
        return cells

    return all_kept


def _is_free(column: Column) -> bool:
    return (
        column.type == "string"
        and not column.related_values
        and not column.allowed
        and column.longest is None
    )


def _checked(column: Column, convert: Convert) -> Convert:
    required, default = column.required, column.default

    def checked(value: str) -> str:
        if value == "":
            if default is not None:
                return default
            if required:
                raise Refused("missing-value")
            return ""
        return convert(value)

    return checked
