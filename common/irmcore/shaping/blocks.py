"""Rows some hundred at a time, so that a whole column can be handed to C code.

A block holds the good rows of a stretch of the input and, apart, those that the reader refused. What is
read as CSV comes in the stretches that ``cells`` divides; other rows are ``grouped``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import NamedTuple

#: Rows of a block at most, and about how much text. More rows are no faster; more text is more memory.
BLOCK_ROWS = 500
BLOCK_CHARACTERS = 256 * 1024
#: The size of every so-manieth row is looked at.
_SAMPLE = 16


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

    __slots__ = ("_columns", "_rows", "lines", "refused")

    def __init__(
        self,
        rows: Sequence[Sequence[str]] | None,
        lines: Sequence[int],
        refused: Sequence[SourceRow] = (),
        *,
        columns: Sequence[Sequence[str]] | None = None,
    ) -> None:
        """The good rows, or instead of them (None) their cells column by column."""
        self._rows, self.lines, self.refused = rows, lines, refused
        self._columns = columns

    def __len__(self) -> int:
        return len(self.lines) + len(self.refused)

    @property
    def rows(self) -> Sequence[Sequence[str]]:
        """The good rows one by one."""
        if self._rows is None:
            self._rows = list(zip(*self._columns or ()))
        return self._rows

    @property
    def columns(self) -> Sequence[Sequence[str]]:
        """The good rows column by column; none if there is no such row."""
        if self._columns is None:
            self._columns = list(zip(*self._rows or ()))
        return self._columns

    def without(self, gone: Mapping[int, SourceRow]) -> Block:
        """The same block with some of the good rows, by their position, refused."""
        keep = [at not in gone for at in range(len(self.lines))]
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


def in_blocks(rows: Iterable[SourceRow]) -> Iterator[Block]:
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


def next_block_rows(columns: Sequence[Sequence[str]], before: int) -> int:
    """How many rows the next block takes, after one of these columns and ``before`` rows.

    From a sample, and at most twice as many: where rows grow suddenly, one block is larger.
    """
    size = sum(sum(map(len, column[::_SAMPLE])) for column in columns)
    rows = len(columns[0][::_SAMPLE]) if columns else 0
    return max(1, min(BLOCK_ROWS, before * 2, BLOCK_CHARACTERS // (size // max(rows, 1) + 1)))
