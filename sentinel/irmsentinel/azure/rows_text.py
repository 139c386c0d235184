"""A JSON document whose tables stay text: as lists, their rows take five times as much memory.

Promised: a document is read to its end, and refused as `json.loads` would refuse it, before anything of it is
used. An array of arrays is then decoded once more, row by row, each time it is walked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from json import decoder, scanner
from typing import Any

#: One value at a place of a text, and where it ends; by the scanner in C, which a decoder has.
_value: Callable[[str, int], tuple[Any, int]] = getattr(json.JSONDecoder(), "scan_once")  # noqa: B009
_in_python = getattr(scanner, "py_make_scanner")  # noqa: B009
_space = re.compile(r"[ \t\n\r]*").match


class Rows(Collection[list[Any]]):
    """The rows that begin at a place of a text, which was looked at by ``loads``."""

    def __init__(self, text: str, start: int, count: int, widths: frozenset[int]) -> None:
        self._text, self._start, self._count = text, start, count
        self.widths = widths

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[Any]]:
        return (row for row, _ in _walked(self._text, self._start))

    def __contains__(self, row: object) -> bool:
        return any(row == one for one in self)


def loads(text: str) -> Any:
    """What a document says, its arrays of arrays as Rows. Raises ValueError, RecursionError."""
    return _Skimmer().decode(text)


class _Skimmer(json.JSONDecoder):
    """The standard library's decoder but for arrays of arrays. Its scanner in C asks nobody about arrays."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_array = _array
        self.scan_once = _in_python(self)


def _array(text_and_start: tuple[str, int], scan_once: Callable[[str, int], Any]) -> tuple[Any, int]:
    text, start = text_and_start
    start = _space(text, start).end()  # type: ignore[union-attr]  # it matches the empty text too
    if text[start : start + 1] != "[":
        return decoder.JSONArray(text_and_start, scan_once)  # type: ignore[attr-defined,no-any-return]
    count, end = 0, start
    widths: set[int] = set()
    for row, behind in _walked(text, start):
        count, end = count + 1, behind
        widths.add(len(row) if isinstance(row, list) else -1)
    return Rows(text, start, count, frozenset(widths)), end


def _walked(text: str, at: int) -> Iterator[tuple[Any, int]]:
    """The values of an array from its first on, each with where the array ends, if it ends behind it."""
    while True:
        try:
            value, at = _value(text, at)
        except StopIteration as none:
            raise json.JSONDecodeError("Expecting value", text, none.value) from None
        sign = text[at : at + 1]
        if sign not in ",]":  # most often there is no space
            at = _space(text, at).end()  # type: ignore[union-attr]
            sign = text[at : at + 1]
        at += 1
        yield value, at
        if sign == "]":
            return
        if sign != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at - 1)
        if text[at : at + 1] != "[":
            at = _space(text, at).end()  # type: ignore[union-attr]
