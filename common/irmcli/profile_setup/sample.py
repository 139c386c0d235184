"""Reads a sample file for `irmexport profile new`: what the values of each column look like.

A file that cannot become a profile is refused with a reason and a next step. Only counts are kept, and the
few distinct values of a possible source column; none of these is ever written anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from irmcore.errors import InputError

from irmcli.profile_setup.column_stats import ROWS, ColumnStats, count_values, lacks_header
from irmcli.session.input_file import open_sample

#: What spreadsheet programs write between columns instead of commas.
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True)
class Sample:
    """What was read; ``long_rows``: some rows have more fields than the header."""

    path: str
    columns: list[ColumnStats]
    long_rows: bool


def read_sample(path: str) -> Sample:
    """The columns of a CSV or JSON file, by its first 10,000 rows. Raises InputError."""
    with open_sample(path) as table:
        if lacks_header(table.header):
            raise InputError(
                "the first line looks like a row, not like a header",
                where=f"{path}:1",
                next_step="Put the column names in the first line; the profile uses them.",
            )
        _refuse_other_separators(table.header, path)
        width, long_rows, rows = len(table.header), False, []
        for _, row in zip(range(ROWS), table.rows, strict=False):
            long_rows = long_rows or row.refused == "ragged-long"
            if row.refused is None or row.refused == "ragged-long":
                rows.append((*row.values[: width - 1], ",".join(row.values[width - 1 :])))
        if not rows:
            raise InputError(
                "the sample has no readable row",
                where=path,
                next_step="Add rows: types and roles are guessed from their values.",
            )
        return Sample(path, count_values(table.header, rows), long_rows)


def _refuse_other_separators(header: Sequence[str], path: str) -> None:
    other = next((name for sign, name in _SEPARATORS.items() if sign in header[0]), None)
    if len(header) == 1 and other is not None:
        raise InputError(
            f"the columns seem to be separated by {other}, not by commas",
            where=f"{path}:1",
            next_step="Save the file as CSV with commas; the files to send later need commas too.",
        )
