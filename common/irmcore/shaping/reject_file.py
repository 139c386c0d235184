"""The reject file: every refused row with its line, column, reason code and advice, and the row itself.

The row is included so that it can be corrected and sent again (``corrections``), so the file is as
confidential as the input (mode 0600). It is a JSON object in one cell, which no spreadsheet runs as a
formula: the values by name, null for those that are missing. Cells beyond the header, or the text of a line
that could not be divided, are in a list, ``MORE``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from json.encoder import encode_basestring_ascii as _text
from typing import NamedTuple

from irmcore.reasons import REASONS
from irmcore.shaping.batches import Lines

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
    return Lines.of([[name] for name in HEADER]).text


def lines(rejects: Sequence[Reject], header: Sequence[str], source: str) -> bytes:
    """The lines of ``rejects``; ``header`` names their values, ``source`` is as for ``Reason.advice``."""
    if not rejects:
        return b""
    columns = (
        [str(reject.line) for reject in rejects],
        [reject.column for reject in rejects],
        [reject.code for reject in rejects],
        [_advice(reject, source) for reject in rejects],
        list(_rows(rejects, header)),
    )
    return Lines.of(columns).text


def _rows(rejects: Sequence[Reject], header: Sequence[str]) -> Iterator[str]:
    """Each row as JSON."""
    # In ASCII: a byte that was not UTF-8 becomes \udcXX, from which it can be restored.
    pairs = (f"{_text(name).replace('%', '%%')}: %s" for name in header)
    whole = "{" + ", ".join(pairs) + "}"  # a third of the time of json.dumps
    distinct = len(set(header)) == len(header)
    for _, _, code, values, _ in rejects:
        divided = values if code not in UNDIVIDED or len(values) != 1 else ()
        if distinct and len(divided) == len(header):
            yield whole % tuple(map(_text, divided))
            continue
        row: dict[str, object] = dict(zip_longest(header, divided[: len(header)]))
        if len(divided) > len(header) or divided is not values:
            row[MORE] = values[len(divided[: len(header)]) :]
        yield json.dumps(row, ensure_ascii=True)


def _advice(reject: Reject, source: str) -> str:
    advice = REASONS[reject.code].advice(source)
    if reject.candidates:
        candidates = ", ".join(reject.candidates)
        advice += f" Candidates: {candidates.encode('ascii', 'backslashreplace').decode('ascii')}"
    return advice
