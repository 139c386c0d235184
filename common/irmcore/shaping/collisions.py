"""`collisions: keep-greatest`: of all rows of a user and time, the one with the greatest threshold.

Holds one row for each (user, time) of the run; the other policies hold none.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from irmcore.shaping.rows import ShapedRow

NumberedRow = tuple[int, tuple[str, ...], ShapedRow]


def keep_greatest(rows: Iterator[NumberedRow], threshold: int) -> tuple[list[NumberedRow], int]:
    """The kept rows in the order of their pairs' first, and how many were folded into them.

    ``threshold`` is the column's position. Of equal thresholds the smaller row key stays, so that the
    order of the input does not matter.
    """
    kept: dict[tuple[str, int], NumberedRow] = {}
    folded = 0
    for numbered in rows:
        row = numbered[2]
        pair = (row.user, row.time)
        other = kept.get(pair)
        if other is not None:
            folded += 1
        if other is None or _rank(row, threshold) > _rank(other[2], threshold):
            kept[pair] = numbered
    return list(kept.values()), folded


def _rank(row: ShapedRow, threshold: int) -> tuple[Decimal, bytes]:
    inverted = bytes(255 - byte for byte in row.key)
    return Decimal(row.fields[threshold] or 0), inverted
