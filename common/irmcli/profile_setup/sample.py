"""Reads a sample file for `irmexport profile new`: what the values of each column look like.

A file that cannot become a profile is refused with a reason and a next step. Only counts are kept, the few
distinct values of a possible source column, and three values of each column to show how they are read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from irmcore.errors import InputError
from irmcore.profile.model import Format

from irmcli.profile_setup.column_stats import ROWS, ColumnStats, count_values, lacks_header
from irmcli.session.input_file import open_sample


@dataclass(frozen=True)
class Sample:
    """What was read, and how the file is written: ``form`` in words, empty if there is nothing to say.

    ``long_rows``: some rows have more fields than the header.
    """

    path: str
    columns: list[ColumnStats]
    long_rows: bool
    format: Format
    form: str


def read_sample(path: str, told: Format) -> Sample:
    """The columns of a file, by its first 10,000 rows. Raises InputError."""
    with open_sample(path, told) as sample:
        table = sample.table
        if lacks_header(table.header):
            raise _no_header(path)
        width, long_rows, rows, lines = len(table.header), False, [], []
        for _, row in zip(range(ROWS), table.rows, strict=False):
            long_rows = long_rows or row.refused == "ragged-long"
            if row.refused is None or row.refused == "ragged-long":
                rows.append(row.values[:width])
                lines.append(row.line)
        if not rows:
            raise InputError(
                "the sample has no readable row",
                where=path,
                next_step="Add rows: types and roles are guessed from their values.",
            )
        if any(_is_value(at, table.header, rows) for at in range(width)):
            raise _no_header(path)
        columns = [column for column in count_values(table.header, rows, lines) if column.header]
        return Sample(path, columns, long_rows, sample.format, table.form)


def _is_value(at: int, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the name of a column is one of its values, or has digits and the form of all of them.

    A row that is the header once more counts for nothing, and so do the digits of numbered columns.
    """
    name, form = header[at], _form(header[at])
    if [re.sub("[0-9]+", "9", other) for other in header].count(re.sub("[0-9]+", "9", name)) > 1:
        form = None
    cells = [row[at] for row in rows if row[at] and tuple(row) != tuple(header)]
    return name in cells or (form is not None and bool(cells) and all(_form(cell) == form for cell in cells))


def _form(text: str) -> str | None:
    """A text with `a` for its letters and `9` for its digits; None with less than two digits, as in Field1.

    Without another sign, as in E4711, each digit counts.
    """
    if sum(map(str.isdigit, text)) < 2:  # noqa: PLR2004
        return None
    form = re.sub(r"[^\W\d_]+", "a", text)
    return re.sub("[0-9]" if form.isalnum() else "[0-9]+", "9", form)


def _no_header(path: str) -> InputError:
    return InputError(
        "the first line looks like a row, not like a header",
        where=f"{path}:1",
        next_step="Put the column names in the first line; the profile uses them.",
    )
