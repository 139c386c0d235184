"""`collisions: keep-greatest`: of all rows of a user and time, the one with the greatest threshold.

Holds one row for each (user, time) pair of the run. The other collision policies hold none.
"""

from __future__ import annotations

from decimal import Decimal

from irmcore.shaping.rows import ShapedRow

#: A line number, the values as read, and the shaped row.
NumberedRow = tuple[int, tuple[str, ...], ShapedRow]


class GreatestRows:
    """The row with the greatest threshold for each pair. ``merged`` counts the rows that were dropped."""

    def __init__(self, threshold: int) -> None:
        """``threshold`` is the position of its column."""
        self.merged = 0
        self._threshold = threshold
        self._kept: dict[tuple[str, int], NumberedRow] = {}

    def add(self, numbered: NumberedRow) -> None:
        """Add a row. Of equal thresholds the smaller row key wins, so the order of rows does not matter."""
        row = numbered[2]
        pair = (row.user, row.time)
        other = self._kept.get(pair)
        if other is not None:
            self.merged += 1
        if other is None or self._rank(row) > self._rank(other[2]):
            self._kept[pair] = numbered

    def rows(self) -> list[NumberedRow]:
        """The kept rows, in the order in which their pairs first occurred."""
        return list(self._kept.values())

    def _rank(self, row: ShapedRow) -> tuple[Decimal, bytes]:
        inverted = bytes(255 - byte for byte in row.key)
        return Decimal(row.fields[self._threshold] or 0), inverted
