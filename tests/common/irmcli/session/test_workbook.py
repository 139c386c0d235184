"""Excel workbooks: cells in, rows of text out. XlsxWriter writes them."""

from __future__ import annotations

import datetime
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from irmcli.session.workbook import is_workbook, workbook_table
from irmcore.errors import InputError
from irmcore.profile.model import Format

from tests.exports import workbooks

FIELDS, NOTHING = ("user", "time", "score"), Format()


def rows(path: Path, told: Format = NOTHING, **options: Any) -> list[tuple[int, tuple[str, ...], str | None]]:
    """The rows of a workbook."""
    with path.open("rb") as file:
        table = workbook_table(file, name=path.name, told=told, **options)
        return [(row.line, row.values, row.refused) for row in table.rows]


def book(tmp_path: Path, **sheets: list[tuple[Any, ...]]) -> Path:
    """A workbook with these sheets."""
    path = tmp_path / "in.xlsx"
    workbooks.write(path, sheets)
    return path


def test_cells_become_text(tmp_path: Path) -> None:
    """Numbers without a needless fraction, times in ISO 8601; rows have the numbers that Excel shows."""
    at = datetime.datetime.fromisoformat("2026-11-20T09:15:00")
    path = book(tmp_path, A=[FIELDS, ("a", at, 3), (), ("b", "text", 0.1), ("c", True, 12345678901.0)])
    assert rows(path) == [
        (2, ("a", "2026-11-20 09:15:00", "3"), None),
        (4, ("b", "text", "0.1"), None),
        (5, ("c", "true", "12345678901"), None),
    ]


@pytest.mark.parametrize(("sign", "expected"), [(None, "1.1250"), ("point", "1.125"), ("comma", "1,125")])
def test_a_number_can_be_read_in_one_way_only(tmp_path: Path, sign: str | None, expected: str) -> None:
    """It is written as a reader with the profile's decimal sign reads it; a text of digits stays as it is."""
    path = book(tmp_path, A=[FIELDS, ("1.125", "x", 1.125), (1.125, "x", "1.250")])
    found = rows(path, Format(numbers=sign), fields=FIELDS, numbers=("score",))
    assert [values for _, values, _ in found] == [("1.125", "x", expected), ("1.125", "x", "1.250")]


@pytest.mark.parametrize(("sign", "expected"), [(None, ","), ("point", ","), ("comma", ";")])
def test_refused_rows_are_for_the_same_excel(tmp_path: Path, sign: str | None, expected: str) -> None:
    """An Excel with a decimal comma divides a CSV at semicolons, and would show one column otherwise."""
    with book(tmp_path, A=[FIELDS, ("a", "b", 1)]).open("rb") as file:
        assert workbook_table(file, name="in.xlsx", told=Format(numbers=sign)).delimiter == expected


def test_titles_and_empty_columns_are_left_out(tmp_path: Path) -> None:
    """The header is the row with the fields; a value in a column without a name refuses its row."""
    path = book(tmp_path, A=[("Report",), (), FIELDS, ("a", "b", 1), ("c", "d", 2, "", "x"), ("e",)])
    assert rows(path, fields=FIELDS) == [
        (4, ("a", "b", "1"), None),
        (5, ("c", "d", "2", "", "x"), "ragged-long"),
        (6, ("e", "", ""), None),
    ]


def test_the_sheet_with_the_fields_is_read(tmp_path: Path) -> None:
    """Of several sheets with rows; without fields somebody has to name one."""
    path = book(tmp_path, Notes=[("x", "y"), (1, 2)], Data=[FIELDS, ("a", "b", 1)], Empty=[])
    expected = [(2, ("a", "b", "1"), None)]
    assert rows(path, fields=FIELDS) == rows(path, Format(sheet="Data")) == expected
    with pytest.raises(InputError, match=r"2 sheets with rows.*--sheet.*Notes, Data"):
        rows(path)
    with pytest.raises(InputError, match=r"no sheet Other.*Notes, Data, Empty"):
        rows(path, Format(sheet="Other"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04 and nothing else", "damaged, protected by a password"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and nothing else", "damaged, protected by a password"),
    ],
    ids=["xlsx", "xls"],
)
def test_a_damaged_workbook_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    """With what to do instead."""
    path = tmp_path / "in.xlsx"
    path.write_bytes(data)
    assert is_workbook(io.BufferedReader(io.BytesIO(data)))
    with pytest.raises(InputError, match=said):
        rows(path)


def test_a_workbook_that_unpacks_too_far_is_refused_unread(tmp_path: Path) -> None:
    """Its size is in the list of its files."""
    path = tmp_path / "in.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("xl/a.xml", "w") as file:
        for _ in range(257):
            file.write(bytes(1024 * 1024))
    with pytest.raises(InputError, match="more than 256 MiB"):
        rows(path)


def test_a_repeated_name_is_refused(tmp_path: Path) -> None:
    """As in a CSV file."""
    with pytest.raises(InputError, match="columns 1 and 3 of the header have the same name"):
        rows(book(tmp_path, A=[("a", "b", "a"), (1, 2, 3)]))
