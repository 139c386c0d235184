"""Rows of a query result as an input for shaping: every value as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from irmcore.shaping.blocks import BLOCK_ROWS, Block, Rows, next_block_rows
from irmcore.shaping.readers import Table

from irmsentinel.kql.result import Result, cell


def table(result: Result) -> Table:
    """The rows of a result as a table of text."""
    return Table(tuple(column.name for column in result.columns), Rows(_blocks(result)), source="query")


def _blocks(result: Result) -> Iterator[Block]:
    """Some hundred rows at a time, converted column by column."""
    kinds = [column.type for column in result.columns]
    start, size = 1, BLOCK_ROWS // 8
    rows = iter(result.rows)
    while part := list(islice(rows, size)):
        columns = list(map(_texts, zip(*part, strict=True), kinds))
        yield Block(None, range(start, start + len(part)), columns=columns)
        start, size = start + len(part), next_block_rows(columns, size)


def _texts(values: Sequence[Any], kind: str) -> Sequence[str]:
    """The values of a column as text. A column of text needs no conversion."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return values
    if kinds == {int}:
        return list(map(str, values))
    return ["" if plain is None else str(plain) for plain in (cell(value, kind) for value in values)]
