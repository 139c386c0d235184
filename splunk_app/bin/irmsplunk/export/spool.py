"""A search's results on disk as they came, and as a table for irmcore once all are there.

Each request has a header line of its own, and a later one may have more fields; the table's header
is all of them, in the order they were first seen. Splunk's ``__mv_`` columns, which say what is a
list, are not part of it: a row with a list where the profile needs one value is refused.
"""

from __future__ import annotations

import csv
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, Callable, NamedTuple

from irmcore.errors import InputError, OutboxFull
from irmcore.shaping.blocks import Block, Rows, SourceRow
from irmcore.shaping.csv_cells import Cells, Chunk, FileSlice
from irmcore.shaping.readers import Reopenable, Table

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
        self._parts: list[_Request] = []
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
        self._parts.append(_Request(start, self._end - start))
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
        walk = partial(self._walk, tuple(header), frozenset(needed))
        blocks = (block for block in walk(lambda _: True) if isinstance(block, Block))
        return Table(tuple(header), Rows(blocks), Reopenable(walk, self._file.fileno(), self._end))

    def close(self) -> None:
        """Let the file go; what could not be written of it is no longer needed."""
        try:
            self._file.close()
        except OSError:
            return

    def _header(self, part: _Request, name: str) -> list[str]:
        try:
            return _first(self._cells(part))
        except csv.Error:
            raise InputError(
                "the header line of the results cannot be read as CSV",
                where=name,
                next_step="Nothing was accepted; run the search again, and report this if it stays.",
            ) from None

    def _cells(self, part: _Request) -> Cells:
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # `_raw` may be long; only what is sent is limited
        return Cells(FileSlice(self._file.fileno(), part.start, part.length))

    def _walk(
        self, header: tuple[str, ...], needed: frozenset[str], wanted: Callable[[int], bool]
    ) -> Iterator[Block | int]:
        number = passed = 0
        for part in self._parts:
            cells = self._cells(part)
            columns = _first(cells)
            layout = _Layout(columns, header, needed)
            for chunk in cells.some(len(columns), partial(_wanted, wanted, passed)):
                passed += 1
                if isinstance(chunk, int):
                    number += chunk
                    yield chunk
                    continue
                block = layout.block(chunk, number + 1)
                number += len(block)
                if chunk.broken is not None:
                    # What a broken row is part of, and what follows it, cannot be told apart.
                    raise InputError(
                        "a row cannot be read as CSV, so the rows after it cannot be told apart",
                        where=f"search result {number + 1}",
                        next_step="Nothing was accepted; run the search again, and report this if it stays.",
                    )
                yield block


class _Request(NamedTuple):
    """Where one request's body lies in the file."""

    start: int
    length: int


def _wanted(wanted: Callable[[int], bool], before: int, number: int) -> bool:
    """Whether a part's stretch of that number is wanted, where so many stand in the parts before it."""
    return wanted(before + number)


def _first(cells: Cells) -> list[str]:
    """The header of a part; none if it is empty. Raises csv.Error."""
    try:
        return cells.row()
    except StopIteration:
        return []


class _Layout:
    """How one request's columns stand to the table's."""

    def __init__(self, columns: list[str], header: tuple[str, ...], needed: frozenset[str]) -> None:
        first = {field: at for at, field in reversed(list(enumerate(columns)))}
        self._width = len(columns)
        self._at = [first.get(field, -1) for field in header]
        self._lists = [first[_MV + field] for field in needed if _MV + field in first]

    def block(self, chunk: Chunk, first: int) -> Block:
        """The block of these rows, counted from ``first``; nearly always all are as they must be."""
        columns = chunk.columns
        if columns and not any(any(columns[at]) for at in self._lists):
            numbers = range(first, first + len(columns[0]))
            blank = [""] * len(numbers)
            return Block(None, numbers, columns=[columns[at] if at >= 0 else blank for at in self._at])
        rows: Sequence[Sequence[str]] = list(zip(*columns)) if columns else [row for row in chunk.rows if row]
        whole = Block(rows, range(first, first + len(rows)))
        whole = whole.without({at: self._refused(whole, at, why) for at, why in self._ragged(rows)})
        whole = whole.without(
            {at: self._refused(whole, at, "multiple-values") for at in self._several(whole)}
        )
        return Block([self._values(row) for row in whole.rows], whole.lines, whole.refused)

    def _ragged(self, rows: Sequence[Sequence[str]]) -> Iterator[tuple[int, str]]:
        for at, row in enumerate(rows):
            if len(row) != self._width:
                yield at, "ragged-short" if len(row) < self._width else "ragged-long"

    def _several(self, block: Block) -> Iterator[int]:
        for at, row in enumerate(block.rows):
            if any(row[column] and is_list(row[column]) for column in self._lists):
                yield at

    def _refused(self, block: Block, at: int, why: str) -> SourceRow:
        row = block.rows[at]
        values = tuple(row) if len(row) != self._width else self._values(row)
        return SourceRow(block.lines[at], values, why)

    def _values(self, row: Sequence[str]) -> tuple[str, ...]:
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
