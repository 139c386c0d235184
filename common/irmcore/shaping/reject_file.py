"""The reject file: every refused row with its line, column, reason code and advice, and the row itself.

The row is included so that it can be corrected and sent again (``corrections``), so the file is as
confidential as the input (mode 0600). It is a JSON object in one cell, which no spreadsheet runs as a
formula: the values by name, null for those that are missing. Cells beyond the header, or the text of a line
that could not be divided, are in a list, ``MORE``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from irmcore.reasons import REASONS
from irmcore.shaping.batches import line_writer

HEADER = ("line", "column", "reason", "advice", "row")
#: The key of a row's cells that have no column.
MORE = "irmexport_more"

#: Reasons of rows that could not be divided into values: their one value is their text.
UNDIVIDED = (
    "malformed-quoting",
    "invalid-json",
    "not-an-object",
    "duplicate-key",
    "not-a-scalar",
    "row-too-large",
)

_write = line_writer()


class Reject(NamedTuple):
    """A refused row: its line in the input, the column ("" for the whole row), reason code and values.

    ``candidates`` are the users that a refused name might mean; the advice lists them.
    """

    line: int
    column: str
    code: str
    values: tuple[str, ...]
    candidates: tuple[str, ...] = ()


def header_line() -> bytes:
    """The first line of a reject file."""
    line: bytes = _write(HEADER).encode("utf-8")
    return line


def line(reject: Reject, header: Sequence[str], source: str) -> bytes:
    """The line of ``reject``; ``header`` names its values, ``source`` is as for ``Reason.advice``."""
    divided = reject.values if reject.code not in UNDIVIDED or len(reject.values) != 1 else ()
    row: dict[str, object] = dict(zip_longest(header, divided[: len(header)]))
    if len(divided) > len(header) or divided is not reject.values:
        row[MORE] = reject.values[len(divided[: len(header)]) :]
    # ASCII: a byte that was not UTF-8 becomes \udcXX, from which it can be restored.
    text = json.dumps(row, ensure_ascii=True)
    advice = REASONS[reject.code].advice(source)
    if reject.candidates:
        candidates = ", ".join(reject.candidates)
        advice += f" Candidates: {candidates.encode('ascii', 'backslashreplace').decode('ascii')}"
    cells = (str(reject.line), reject.column, reject.code, advice, text)
    encoded: bytes = _write(cells).encode("utf-8")
    return encoded
