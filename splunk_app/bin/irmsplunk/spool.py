"""A search's results on disk as they came, and as a table for irmcore once all are there.

Each request has a header line of its own, and a later one may have more fields; the table's header
is all of them, in the order they were first seen. Splunk's ``__mv_`` columns, which say what is a
list, are not part of it: a row with a list where the profile needs one value is refused.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from irmcore.errors import InputError, OutboxFull
from irmcore.shaping.readers import NUL_MARK, SourceRow, Table

_MV = "__mv_"
_PIECE = 65_536


class Spool:
    """An unnamed file in the search's own dispatch directory; it goes with the process."""

    def __init__(self, directory: str | None) -> None:
        """Raises OutboxFull if the directory takes no file."""
        try:
            self._file: BinaryIO = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115
        except OSError as error:
            raise _full(error) from None
        self._parts: list[tuple[int, int]] = []
        self._end = 0

    def add(self, pieces: Iterable[bytes]) -> int:
        """Append one request's body; gives its length. What raises while it is read is raised.

        Raises OutboxFull if the disk takes no more, after the request was read to its end: only then may
        it be answered.
        """
        start = self._end
        rest = iter(pieces)
        try:
            self._file.seek(start)
            for piece in rest:
                self._file.write(piece)
                self._end += len(piece)
            self._file.flush()
        except OSError as error:
            for _ in rest:
                continue
            raise _full(error) from None
        self._parts.append((start, self._end - start))
        return self._end - start

    def last(self) -> Iterator[bytes]:
        """The body that was added last, for the echo."""
        start, length = self._parts[-1]
        self._file.seek(start)
        while length:
            piece = self._file.read(min(length, _PIECE))
            length -= len(piece)
            yield piece

    def table(self, needed: Sequence[str], name: str) -> Table:
        """All rows, numbered from 1. Raises InputError if a needed field stands in a header twice."""
        header: dict[str, None] = {}
        for part in self._parts:
            found = self._header(part, name)
            _refuse_twice(found, needed, name)
            header.update(dict.fromkeys(field for field in found if not field.startswith(_MV)))
        return Table(tuple(header), self._walk(tuple(header), frozenset(needed)))

    def close(self) -> None:
        """Let the file go; what could not be written of it is no longer needed."""
        try:
            self._file.close()
        except OSError:
            return

    def _header(self, part: tuple[int, int], name: str) -> list[str]:
        try:
            return next(self._rows(part), [])
        except csv.Error:
            raise InputError(
                "the header line of the results cannot be read as CSV",
                where=name,
                next_step="Nothing was accepted; run the search again, and report this if it stays.",
            ) from None

    def _rows(self, part: tuple[int, int]) -> Iterator[list[str]]:
        raw = io.BufferedReader(_Part(self._file, *part))
        # surrogateescape: a byte that is not UTF-8 reaches the shaper, which refuses its row.
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # `_raw` may be long; only what is sent is limited
        yield from csv.reader(_without_nul(text), strict=True)

    def _walk(self, header: tuple[str, ...], needed: frozenset[str]) -> Iterator[SourceRow]:
        number = 0
        for part in self._parts:
            layout: _Layout | None = None
            rows = self._rows(part)
            while True:
                try:
                    row = next(rows)
                except StopIteration:
                    break
                except csv.Error:
                    # A reader that has raised is done: what follows in this part cannot be told apart.
                    raise InputError(
                        "a row cannot be read as CSV, so the rows after it cannot be told apart",
                        where=f"search result {number + 1}",
                        next_step="Nothing was accepted; run the search again, and report this if it stays.",
                    ) from None
                if layout is None:
                    layout = _Layout(row, header, needed)
                elif row:
                    number += 1
                    yield layout.read(number, row)


class _Layout:
    """How one request's columns stand to the table's."""

    def __init__(self, columns: list[str], header: tuple[str, ...], needed: frozenset[str]) -> None:
        first = {field: at for at, field in reversed(list(enumerate(columns)))}
        self._width = len(columns)
        self._at = [first.get(field, -1) for field in header]
        self._straight = self._at == list(range(len(header)))
        self._take = len(header)
        self._lists = [first[_MV + field] for field in needed if _MV + field in first]

    def read(self, number: int, row: list[str]) -> SourceRow:
        if len(row) != self._width:
            return SourceRow(number, tuple(row), "ragged-short" if len(row) < self._width else "ragged-long")
        values = (
            tuple(row[: self._take])
            if self._straight
            else tuple([row[at] if at >= 0 else "" for at in self._at])
        )
        for at in self._lists:
            if row[at] and is_list(row[at]):
                return SourceRow(number, values, "multiple-values")
        return SourceRow(number, values)


#: One value between dollars, its own dollars doubled; an element of a list may be empty.
_SINGLE = re.compile(r"\$(?:[^$]|\$\$)*\$").fullmatch


def _full(error: OSError) -> OutboxFull:
    return OutboxFull(
        f"the search's dispatch directory takes no more data ({error.strerror}), so nothing was queued",
        where="| irmexport",
        next_step="Free some space on the search head, then run the search again.",
    )


def is_list(encoded: str) -> bool:
    """Whether the text of an ``__mv_`` column (``$a$;$b$``; a dollar is doubled) has several values."""
    return _SINGLE(encoded) is None


def _refuse_twice(columns: list[str], needed: Sequence[str], name: str) -> None:
    twice = sorted(field for field in set(needed) if columns.count(field) > 1)
    if twice:
        raise InputError(
            f"the results have the field {', '.join(f'`{field}`' for field in twice)} more than once",
            where=name,
            next_step="Rename or remove one of them (`| fields`, `| rename`) before irmexport.",
        )


def _without_nul(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line.replace("\0", NUL_MARK) if "\0" in line else line


class _Part(io.RawIOBase):
    """A stretch of the spool file as a stream of its own."""

    def __init__(self, file: BinaryIO, start: int, length: int) -> None:
        self._file, self._at, self._left = file, start, length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._at)
        piece = self._file.read(min(len(buffer), self._left))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        self._left -= len(piece)
        return len(piece)
