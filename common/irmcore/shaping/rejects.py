"""The reject file: every refused row with its line, column, reason code and advice, and the row itself.

The row is there so that it can be corrected and sent again; the file is as secret as the input
(mode 0600). It stands as JSON in one cell, which no spreadsheet takes for a formula.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from irmcore.reasons import REASONS
from irmcore.shaping.batches import line_writer

HEADER = ("line", "column", "reason", "advice", "row")

_write = line_writer()


class Reject(NamedTuple):
    """A refused row: its line in the input, the column ("" for the whole row), the code, the values."""

    line: int
    column: str
    code: str
    values: tuple[str, ...]


def header_line() -> bytes:
    """The first line of a reject file."""
    line: bytes = _write(HEADER).encode("utf-8")
    return line


def line(reject: Reject, header: Sequence[str]) -> bytes:
    """The line of ``reject``; ``header`` names its values."""
    if len(header) == len(reject.values):
        row: object = dict(zip(header, reject.values))
    else:
        row = list(reject.values)
    # ASCII: a byte that was not UTF-8 is shown as \udcXX, which can be read back.
    text = json.dumps(row, ensure_ascii=True)
    advice = REASONS[reject.code].advice
    cells = (str(reject.line), reject.column, reject.code, advice, text)
    encoded: bytes = _write(cells).encode("utf-8")
    return encoded
