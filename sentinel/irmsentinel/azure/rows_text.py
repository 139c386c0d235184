"""Decode a JSON document but leave its tables as text: as lists, rows would take five times the memory.

The whole document is checked first, exactly as `json.loads` checks it. An array of arrays becomes `Rows`,
which decodes one row at a time, each time it is iterated.

Not ijson: it reads a document once per path (columns, rows, error), and its parser rejects or changes values
that `json.loads` accepts: NaN, lone surrogates, integers of more than 64 bits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

_decode = json.JSONDecoder().raw_decode
_skip_space = re.compile(r"[ \t\n\r]*").match


class Rows(Collection[list[Any]]):
    """The rows of an array in a document that `loads` has checked. ``widths``: the lengths of the rows."""

    def __init__(self, text: str, start: int, count: int, widths: frozenset[int]) -> None:
        self._text, self._start, self._count = text, start, count
        self.widths = widths

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[Any]]:
        return (row for row, _ in _items(self._text, self._start))

    def __contains__(self, row: object) -> bool:
        return any(row == one for one in self)


def loads(text: str) -> Any:
    """The document's value, with Rows for arrays of arrays. Raises ValueError, RecursionError."""
    value, end = _value(text, _after_space(text, 0))
    end = _after_space(text, end)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def _value(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at ``at``, and where it ends."""
    opening = text[at : at + 1]
    if opening == "{":
        return _object(text, at)
    if opening != "[":
        return _decode(text, at)
    first = _after_space(text, at + 1)
    if text[first : first + 1] == "[":
        return _rows(text, first)
    return _array(text, first)


def _object(text: str, at: int) -> tuple[dict[str, Any], int]:
    members: dict[str, Any] = {}
    at = _after_space(text, at + 1)
    if text[at : at + 1] == "}":
        return members, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        name, at = _decode(text, at)
        at = _after(":", text, at)
        members[name], at = _value(text, at)
        at = _after_space(text, at)
        if text[at : at + 1] == "}":
            return members, at + 1
        at = _after(",", text, at)


def _array(text: str, at: int) -> tuple[list[Any], int]:
    """An array whose first value, if it has one, is at ``at``."""
    values: list[Any] = []
    if text[at : at + 1] == "]":
        return values, at + 1
    while True:
        value, at = _value(text, at)
        values.append(value)
        at = _after_space(text, at)
        if text[at : at + 1] == "]":
            return values, at + 1
        at = _after(",", text, at)


def _rows(text: str, start: int) -> tuple[Rows, int]:
    count, end = 0, start
    widths: set[int] = set()
    for row, after in _items(text, start):
        count, end = count + 1, after
        widths.add(len(row) if isinstance(row, list) else -1)
    return Rows(text, start, count, frozenset(widths)), end


def _items(text: str, at: int) -> Iterator[tuple[Any, int]]:
    """The values of an array from its first one, at ``at``. With each, where the text goes on after it."""
    while True:
        value, at = _decode(text, at)
        sign = text[at : at + 1]
        if sign not in ",]":  # most answers have no space here
            at = _after_space(text, at)
            sign = text[at : at + 1]
        at += 1
        yield value, at
        if sign == "]":
            return
        if sign != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at - 1)
        if text[at : at + 1] != "[":
            at = _after_space(text, at)


def _after(sign: str, text: str, at: int) -> int:
    """Where the next value begins, after ``sign`` and any space around it."""
    at = _after_space(text, at)
    if text[at : at + 1] != sign:
        raise json.JSONDecodeError(f"Expecting '{sign}' delimiter", text, at)
    return _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    match = _skip_space(text, at)
    return at if match is None else match.end()
