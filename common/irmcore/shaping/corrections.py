"""Refused rows as a CSV file that people correct, in a spreadsheet too, and send again.

The columns are the original's, after two of our own: reason and advice. Whoever reads the file as an input
leaves those two out. A cell that a spreadsheet would run as a formula is written behind an apostrophe, which
is taken off when the file is read: so what is sent again is what the original had. The file is as
confidential as the input.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from irmcore.profile.model import DELIMITERS
from irmcore.shaping.blocks import SourceRow
from irmcore.shaping.csv_cells import allow_long_fields
from irmcore.shaping.reject_file import MORE, UNDIVIDED

#: The names of our columns. They are ours in every language, and no product's.
REASON, ADVICE = "irmexport_reason", "irmexport_advice"

# With apostrophes before, so that a text that begins with one is the same after writing and reading.
_FORMULA = re.compile("'*[=+\\-@\t\n\r\uff1d\uff0b\uff0d\uff20]")
_GUARDED = re.compile("'+[=+\\-@\t\n\r\uff1d\uff0b\uff0d\uff20]")


def guarded(text: str) -> str:
    """A cell that no spreadsheet runs."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The text of which ``guarded`` made the cell."""
    return text[1:] if _GUARDED.match(text) else text


def file_of(reject_files: Iterable[bytes], delimiter: str = ",") -> bytes:
    """The rows of these reject files, in UTF-8 with a byte order mark.

    The columns of several files are those of the first, then what the others have besides.
    """
    rejects = [found for data in reject_files for found in read(data)]
    columns = list(dict.fromkeys(name for _, row in rejects for name in row if name != MORE))
    text = io.StringIO(newline="")
    delimiter = delimiter if delimiter in DELIMITERS.values() else ","
    write = csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerow
    write(map(guarded, [REASON, ADVICE, *columns]))
    for (reason, column, advice), row in rejects:
        cells = [row.get(name) or "" for name in columns]
        more = row.get(MORE, [])
        if reason in UNDIVIDED:  # the text of the row takes the place of its cells
            cells = more or cells
        else:
            cells += more
        write([reason, f"{column}: {advice}" if column else advice, *map(guarded, cells)])
    return b"\xef\xbb\xbf" + _encoded(text.getvalue())


def rows(found: Iterable[SourceRow]) -> Iterator[SourceRow]:
    """The rows of such a file as those of an input."""
    for row in found:
        whole = row.refused in UNDIVIDED and len(row.values) == 1
        values = row.values if whole else tuple(map(unguarded, row.values[2:]))
        yield row._replace(values=values)


def read(data: bytes) -> Iterator[tuple[tuple[str, str, str], dict[str, Any]]]:
    """The rows of a reject file: reason, column and advice, then the row by its columns."""
    allow_long_fields(len(data))  # a cell holds a whole refused row
    for line in csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")):
        row = json.loads(line["row"])
        if not isinstance(row, dict):  # as earlier versions wrote rows that do not fit the header
            row = {MORE: row if isinstance(row, list) else [row]}
        yield (line["reason"], line["column"], line["advice"]), row


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")  # a byte that was not UTF-8 is as it was
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
