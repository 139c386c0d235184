"""Blocks of a few hundred rows, so that C code can work on a whole column at a time.

A block holds the good rows of a part of the input and, separately, those that the reader refused. CSV
input comes in the chunks of ``csv_cells``; ``in_blocks`` groups rows that come one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import NamedTuple

#: The maximum rows of a block, and roughly its text. More rows are not faster; more text takes memory.
BLOCK_ROWS = 500
BLOCK_CHARACTERS = 256 * 1024
#: Every n-th row is measured to estimate the size of the rows.
_SAMPLE = 16


class SourceRow(NamedTuple):
    """A row as read: its first line (from 1) and its values by position. ``refused`` is a reason code.

    A row that could not be divided into values (``reject_file.UNDIVIDED``) has one value, its text.
    """

    line: int
    values: tuple[str, ...]
    refused: str | None = None


class Block:
    """Good ``rows`` with their ``lines``, and the ``refused`` rows.

    A row may have more cells than the header; only the reader uses those.
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
        """Takes the good rows, or None and their cells column by column."""
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
        """The good rows column by column; empty if there is no good row."""
        if self._columns is None:
            self._columns = list(zip(*self._rows or ()))
        return self._columns

    def without(self, gone: Mapping[int, SourceRow]) -> Block:
        """A copy in which some good rows, given by position, are refused."""
        keep = [at not in gone for at in range(len(self.lines))]
        rows, lines = list(compress(self.rows, keep)), list(compress(self.lines, keep))
        return Block(rows, lines, [*self.refused, *gone.values()])


class Rows(Iterator[SourceRow]):
    """The rows of ``blocks`` one by one, in input order. Consumers of whole blocks use ``blocks`` instead."""

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
    """Group rows that come one by one."""
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
    """How many rows the next block should have, after a block of these columns and ``before`` rows.

    This is an estimate from a sample, at most twice ``before``. If rows suddenly grow, one block is larger.
    """
    size = sum(sum(map(len, column[::_SAMPLE])) for column in columns)
    rows = len(columns[0][::_SAMPLE]) if columns else 0
    return max(1, min(BLOCK_ROWS, before * 2, BLOCK_CHARACTERS // (size // max(rows, 1) + 1)))
