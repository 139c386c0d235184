"""The reject file: every refused row with its line, column, reason code and advice, and the row itself.

The row is there so that it can be corrected and sent again; the file is as secret as the input
(mode 0600). It stands as JSON in one cell, which no spreadsheet takes for a formula: an object of its
values by name, a list where they are not as many as the header's, or the line's own text where it
could not be divided into values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from irmcore.reasons import REASONS
from irmcore.shaping.batches import line_writer

HEADER = ("line", "column", "reason", "advice", "row")

#: Reasons of rows that could not be divided: their one value is the text that stood there.
WHOLE = ("malformed-quoting", "invalid-json", "not-an-object", "duplicate-key", "not-a-scalar")

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
    row: object
    if reject.code in WHOLE and len(reject.values) == 1:
        row = reject.values[0]
    elif len(header) == len(reject.values):
        row = dict(zip(header, reject.values))
    else:
        row = list(reject.values)
    # ASCII: a byte that was not UTF-8 is shown as \udcXX, which can be read back.
    text = json.dumps(row, ensure_ascii=True)
    advice = REASONS[reject.code].advice
    cells = (str(reject.line), reject.column, reject.code, advice, text)
    encoded: bytes = _write(cells).encode("utf-8")
    return encoded
