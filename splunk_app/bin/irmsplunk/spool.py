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
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from irmcore.errors import InputError, OutboxFull
from irmcore.shaping.blocks import BLOCK_ROWS, Block, Rows, SourceRow, fitting
from irmcore.shaping.readers import NUL_MARK, Table

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
        self._parts: list[_Stretch] = []
        self._end = 0

    def add(self, pieces: Iterable[bytes]) -> int:
        """Append one request's body; gives its length. What raises while it is read is raised.

        Raises OutboxFull if the disk takes no more, after the request was read to its end: only then may
        it be answered.
        """
        start = self._end
        nul = False
        rest = iter(pieces)
        try:
            self._file.seek(start)
            for piece in rest:
                self._file.write(piece)
                nul = nul or b"\0" in piece
                self._end += len(piece)
            self._file.flush()
        except OSError as error:
            for _ in rest:
                continue
            raise _full(error) from None
        self._parts.append(_Stretch(start, self._end - start, nul))
        return self._end - start

    def last(self) -> Iterator[bytes]:
        """The body that was added last, for the echo."""
        start, length, _ = self._parts[-1]
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
        return Table(tuple(header), Rows(self._blocks(tuple(header), frozenset(needed))))

    def close(self) -> None:
        """Let the file go; what could not be written of it is no longer needed."""
        try:
            self._file.close()
        except OSError:
            return

    def _header(self, part: _Stretch, name: str) -> list[str]:
        try:
            return next(self._rows(part), [])
        except csv.Error:
            raise InputError(
                "the header line of the results cannot be read as CSV",
                where=name,
                next_step="Nothing was accepted; run the search again, and report this if it stays.",
            ) from None

    def _rows(self, part: _Stretch) -> Iterator[list[str]]:
        raw = io.BufferedReader(_Part(self._file, part.start, part.length), _PIECE)
        # surrogateescape: a byte that is not UTF-8 reaches the shaper, which refuses its row.
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # `_raw` may be long; only what is sent is limited
        return csv.reader(_without_nul(text) if part.nul else text, strict=True)

    def _blocks(self, header: tuple[str, ...], needed: frozenset[str]) -> Iterator[Block]:
        number = 0
        for part in self._parts:
            reader = self._rows(part)
            layout: _Layout | None = None
            size = BLOCK_ROWS // 8
            while True:
                rows: list[list[str]] = []
                try:
                    if layout is None:
                        layout = _Layout(next(reader, []), header, needed)
                    rows.extend(islice(reader, size))  # in C
                except csv.Error:
                    # A reader that has raised is done: what follows in this part cannot be told apart.
                    raise InputError(
                        "a row cannot be read as CSV, so the rows after it cannot be told apart",
                        where=f"search result {number + len(rows) + 1}",
                        next_step="Nothing was accepted; run the search again, and report this if it stays.",
                    ) from None
                if not rows:
                    break
                size = fitting(rows, size)
                rows = [row for row in rows if row]
                yield layout.block(rows, range(number + 1, number + len(rows) + 1))
                number += len(rows)


class _Stretch(NamedTuple):
    """Where one request's body lies in the file, and whether it has a NUL."""

    start: int
    length: int
    nul: bool


class _Layout:
    """How one request's columns stand to the table's."""

    def __init__(self, columns: list[str], header: tuple[str, ...], needed: frozenset[str]) -> None:
        first = {field: at for at, field in reversed(list(enumerate(columns)))}
        self._width = len(columns)
        self._at = [first.get(field, -1) for field in header]
        self._straight = self._at == list(range(len(header)))
        self._take = len(header)
        self._lists = [first[_MV + field] for field in needed if _MV + field in first]

    def block(self, rows: list[list[str]], numbers: range) -> Block:
        """The block of these rows; nearly always they are as they must be, and it is made in C."""
        whole = Block(rows, numbers)
        if not all(map(self._width.__eq__, map(len, rows))):
            whole = whole.without(
                {
                    at: SourceRow(
                        numbers[at], tuple(row), "ragged-short" if len(row) < self._width else "ragged-long"
                    )
                    for at, row in enumerate(rows)
                    if len(row) != self._width
                }
            )
        if whole.rows and any(any(whole.columns[at]) for at in self._lists):
            whole = whole.without(
                {
                    at: SourceRow(whole.lines[at], self._values(row), "multiple-values")
                    for at, row in enumerate(whole.rows)
                    if any(row[column] and is_list(row[column]) for column in self._lists)
                }
            )
        if self._straight:
            return whole
        return Block([self._values(row) for row in whole.rows], whole.lines, whole.refused)

    def _values(self, row: Sequence[str]) -> tuple[str, ...]:
        if self._straight:
            return tuple(row[: self._take])
        return tuple([row[at] if at >= 0 else "" for at in self._at])


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
