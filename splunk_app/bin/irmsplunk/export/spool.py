"""A search's results, spooled to disk as they arrive and read as one table once they are complete.

Each request has its own header line, and a later one may have more fields; the table's header has all of
them, in order of first appearance. Splunk's ``__mv_`` columns, which mark multivalue fields, are not part of
it: a row with several values where the profile needs one is refused.
"""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, Callable, NamedTuple

from irmcore.errors import InputError, OutboxFull
from irmcore.shaping.blocks import Block, Rows, SourceRow
from irmcore.shaping.csv_cells import Cells, Chunk, FileSlice, allow_long_fields
from irmcore.shaping.readers import Reopenable, Table

_MV = "__mv_"
_RUN_AGAIN = "Nothing was accepted. Run the search again; if it fails again, report this."
_PIECE = 65_536
#: In characters: `_raw` may be long, and only cells that are sent have a limit. More overflows a C long.
LONGEST_FIELD = 2**31 - 1


class Spool:
    """An unnamed file in the search's dispatch directory; it disappears with the process."""

    def __init__(self, directory: str | None) -> None:
        """Raises OutboxFull if no file can be created in the directory."""
        try:
            self._file: BinaryIO = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115
        except OSError as error:
            raise _full(error) from None
        self._parts: list[_Request] = []
        self._end = 0

    def add(self, pieces: Iterable[bytes]) -> int:
        """Append one request's body and return its length in bytes. Errors of ``pieces`` pass through.

        Raises OutboxFull if the disk is full, but only after reading the request to its end: the protocol
        allows no reply before that.
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
        """The body that was added last, to be sent back unchanged."""
        start, length = self._parts[-1]
        self._file.seek(start)
        while length:
            piece = self._file.read(min(length, _PIECE))
            length -= len(piece)
            yield piece

    def header(self, name: str) -> tuple[str, ...]:
        """The fields of all requests, each once. Raises InputError if a header line cannot be read."""
        found = (field for part in self._parts for field in self._header(part, name))
        return tuple(dict.fromkeys(field for field in found if not field.startswith(_MV)))

    def table(self, needed: Sequence[str], name: str) -> Table:
        """All rows, numbered from 1. Raises InputError if a header has a needed field twice."""
        for part in self._parts:
            _refuse_twice(self._header(part, name), needed, name)
        header = self.header(name)
        walk = partial(self._walk, header, frozenset(needed))
        blocks = (block for block in walk(lambda _: True) if isinstance(block, Block))
        return Table(header, Rows(blocks), Reopenable(walk, self._file.fileno(), self._end), source="search")

    def close(self) -> None:
        """Close the file. A failed write no longer matters here."""
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
                next_step=_RUN_AGAIN,
            ) from None

    def _cells(self, part: _Request) -> Cells:
        allow_long_fields(LONGEST_FIELD)
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
                    # An unbalanced quote also hides where the next rows begin.
                    raise InputError(
                        "a row cannot be read as CSV, so the rows after it cannot be separated",
                        where=f"search result {number + 1}",
                        next_step=_RUN_AGAIN,
                    )
                yield block


class _Request(NamedTuple):
    """The position of one request's body in the file."""

    start: int
    length: int


def _wanted(wanted: Callable[[int], bool], before: int, number: int) -> bool:
    """Whether a chunk is wanted: number ``number`` of its part, with ``before`` chunks in earlier parts."""
    return wanted(before + number)


def _first(cells: Cells) -> list[str]:
    """The header of a part; empty if the part is. Raises csv.Error."""
    try:
        return cells.row()
    except StopIteration:
        return []


class _Layout:
    """Maps the columns of one request to those of the table."""

    def __init__(self, columns: list[str], header: tuple[str, ...], needed: frozenset[str]) -> None:
        first = {field: at for at, field in reversed(list(enumerate(columns)))}
        self._width = len(columns)
        self._at = [first.get(field, -1) for field in header]
        self._lists = [first[_MV + field] for field in needed if _MV + field in first]

    def block(self, chunk: Chunk, first: int) -> Block:
        """The block of these rows, numbered from ``first``. The quick path takes rows without a defect."""
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


#: Exactly one value: between dollar signs, with dollar signs inside doubled.
_SINGLE = re.compile(r"\$(?:[^$]|\$\$)*\$").fullmatch


def _full(error: OSError) -> OutboxFull:
    return OutboxFull(
        f"the search's dispatch directory cannot be written ({error.strerror}), so nothing was queued",
        where="| irmexport",
        next_step="Free some space on the search head, then run the search again.",
    )


def is_list(encoded: str) -> bool:
    """Whether an ``__mv_`` cell (``$a$;$b$``, dollar signs doubled) has several values."""
    return _SINGLE(encoded) is None


def _refuse_twice(columns: list[str], needed: Sequence[str], name: str) -> None:
    twice = sorted(field for field in set(needed) if columns.count(field) > 1)
    if twice:
        raise InputError(
            f"the results have the field {', '.join(f'`{field}`' for field in twice)} more than once",
            where=name,
            next_step="Rename or remove one of them before irmexport: `| rename`, `| fields`.",
        )
