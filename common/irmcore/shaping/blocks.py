"""Rows some hundred at a time, so that a whole column can be handed to C code.

A block holds the good rows of a stretch of the input and, apart, those that the reader refused. How many
rows it has follows from their size: it holds about ``BLOCK_CHARACTERS`` of text, however long a row is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress
from typing import NamedTuple

#: Rows of a block at most, and about how much text. More rows are no faster; more text is more memory.
BLOCK_ROWS = 500
BLOCK_CHARACTERS = 256 * 1024
#: The size of every so-manieth row is looked at.
_SAMPLE = 16

_LINE_BREAK = re.compile(r"\r\n|\r|\n").findall


class SourceRow(NamedTuple):
    """A row as read: its first line (from 1), its values by position, or why it is refused.

    A row that could not be divided (``rejects.WHOLE``) has one value: its text as it stood.
    """

    line: int
    values: tuple[str, ...]
    refused: str | None = None


class Block:
    """Good ``rows`` with their ``lines`` (a range where each row is one line), and the refused ones.

    A row may be longer than the table's header: what is behind that belongs to the reader.
    """

    __slots__ = ("_columns", "lines", "refused", "rows")

    def __init__(
        self,
        rows: Sequence[Sequence[str]],
        lines: Sequence[int],
        refused: Sequence[SourceRow] = (),
    ) -> None:
        self.rows, self.lines, self.refused = rows, lines, refused
        self._columns: list[tuple[str, ...]] | None = None

    def __len__(self) -> int:
        return len(self.rows) + len(self.refused)

    @property
    def columns(self) -> list[tuple[str, ...]]:
        """The good rows column by column; none if there is no such row."""
        if self._columns is None:
            self._columns = list(zip(*self.rows))
        return self._columns

    def without(self, gone: Mapping[int, SourceRow]) -> Block:
        """The same block with some of the good rows, by their position, refused."""
        keep = [at not in gone for at in range(len(self.rows))]
        rows, lines = list(compress(self.rows, keep)), list(compress(self.lines, keep))
        return Block(rows, lines, [*self.refused, *gone.values()])


class Rows(Iterator[SourceRow]):
    """The rows of ``blocks`` one by one, in the order they stood; ``blocks`` is for who can take many."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self.blocks = blocks
        self._rows: Iterator[SourceRow] = iter(())

    def __next__(self) -> SourceRow:
        while True:
            for row in self._rows:
                return row
            block = next(self.blocks)
            good = (SourceRow(line, tuple(row)) for line, row in zip(block.lines, block.rows))
            self._rows = iter(sorted([*good, *block.refused])) if block.refused else good


def grouped(rows: Iterable[SourceRow]) -> Iterator[Block]:
    """The blocks of rows that come one by one."""
    good: list[tuple[str, ...]] = []
    lines: list[int] = []
    refused: list[SourceRow] = []
    size = 0
    for row in rows:
        if row.refused is None:
            good.append(row.values)
            lines.append(row.line)
        else:
            refused.append(row)
        size += sum(map(len, row.values))
        if size >= BLOCK_CHARACTERS or len(good) + len(refused) == BLOCK_ROWS:
            yield Block(good, lines, refused)
            good, lines, refused, size = [], [], [], 0
    if good or refused:
        yield Block(good, lines, refused)


def fitting(rows: Sequence[Sequence[str]], before: int) -> int:
    """How many rows the next block takes, after one of ``rows`` and ``before`` of it.

    From a sample, and at most twice as many: where rows grow suddenly, one block is larger.
    """
    sample = rows[::_SAMPLE]
    size = sum(map(len, chain.from_iterable(sample))) // max(len(sample), 1)
    return max(1, min(BLOCK_ROWS, before * 2, BLOCK_CHARACTERS // (size + 1)))


def lines_of(rows: Sequence[Sequence[str]], first: int, after: int) -> Sequence[int]:
    """The first line of each row, and the line behind the last one; ``after`` as the reader counts it.

    Only where they are not one line each are the line breaks in their cells counted.
    """
    if after - first == len(rows):
        return range(first, after + 1)
    lines = [first]
    for row in rows:
        lines.append(lines[-1] + 1 + sum(len(_LINE_BREAK(cell)) for cell in row))
    return lines
