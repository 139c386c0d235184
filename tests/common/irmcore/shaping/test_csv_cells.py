"""Cells: the same rows and lines as csv.reader, for any text."""

from __future__ import annotations

import csv
import io
from typing import Union

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from irmcore.shaping.csv_cells import NUL_MARK, BrokenRow, Cells

Row = list[str]
Found = list[tuple[int, Union[Row, BrokenRow]]]

#: What a reader may stumble over, and whole cells.
ODD = st.sampled_from(
    (
        "a",
        "",
        '"',
        '""',
        ",",
        "\n",
        "\r\n",
        "\r",
        "\0",
        "\x01",
        "\u00eb",
        '"x,y"',
        '"x\ny"',
        '"p""q"',
        '""""',
        " ",
    )
)
CELL = st.sampled_from(
    ("", "a", "b c", '"x,y"', '"p""q"', '"l\nm"', '"l\r\nm"', '"l\rm"', '""', '""""', '"e"')
)
PLAIN = st.builds(
    lambda rows, end: end.join(",".join(row) for row in rows) + end,
    st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=12),
    st.sampled_from(("\n", "\r\n")),
)
TEXT = PLAIN | st.lists(ODD, max_size=40).map("".join)
PIECES = st.sampled_from((1, 2, 3, 7, 20, 100))


def by_cells(data: bytes, width: int, piece: int, delimiter: str = ",") -> Found:
    """All rows except the first, read in chunks of about this many bytes."""
    cells = Cells(io.BytesIO(data), chunk=piece, delimiter=delimiter)
    found: Found = []
    try:
        cells.row()
    except (StopIteration, csv.Error):
        return found
    for chunk in cells.chunks(width):
        rows = list(map(list, zip(*chunk.columns))) if chunk.columns else chunk.rows
        assert len(chunk.lines) == len(rows) + 1
        found += zip(chunk.lines, rows)
        if chunk.broken is not None:
            found.append((chunk.lines[-1], chunk.broken))
    return found


def by_reader(data: bytes, delimiter: str = ",") -> Found:
    """The same rows, read by csv.reader alone."""
    last = [""]

    def lines() -> io.TextIOWrapper:  # type: ignore[misc]
        for line in io.TextIOWrapper(io.BytesIO(data), "utf-8", "surrogateescape", newline=""):
            last[0] = line.replace("\0", NUL_MARK)
            yield last[0]  # type: ignore[misc]

    reader = csv.reader(lines(), strict=True, delimiter=delimiter)
    found: Found = []
    try:
        next(reader)
    except (StopIteration, csv.Error):
        return found
    while True:
        first = reader.line_num + 1
        try:
            found.append((first, next(reader)))
        except StopIteration:
            return found
        except csv.Error as error:
            found.append((first, BrokenRow(str(error), last[0].rstrip("\r\n"), reader.line_num > first)))


@settings(max_examples=300)
@given(TEXT, st.integers(1, 4), PIECES)
@example('h,i\n"a"x,1\n', 2, 100)
@example('h,i\nx,y"a"\n', 2, 100)
@example('h,i\nx"a""b",1\n', 2, 100)
@example('h,i\n"a""b"x,1\n', 2, 100)
@example('h,i\n"a""b",1"\n"2",3\n', 2, 100)
def test_cells_are_those_of_the_csv_module(text: str, width: int, piece: int) -> None:
    """For plain and unusual input, and wherever chunks end: the same rows, lines and broken rows."""
    data = text.encode()
    assert by_cells(data, width, piece) == by_reader(data)


@settings(max_examples=100)
@given(TEXT, st.integers(1, 4), PIECES, st.sampled_from(";\t|"))
def test_another_delimiter_changes_nothing_else(text: str, width: int, piece: int, delimiter: str) -> None:
    """The same rows as those of the csv module, where commas are part of the cells."""
    data = text.replace(",", delimiter).replace("x", "x,").encode()
    assert by_cells(data, width, piece, delimiter) == by_reader(data, delimiter)


@given(st.binary(max_size=60), PIECES)
def test_any_bytes(data: bytes, piece: int) -> None:
    """Bytes that are not UTF-8 are read too, each as its surrogate escape."""
    assert by_cells(data, 2, piece) == by_reader(data)


@pytest.mark.parametrize(
    ("data", "divided"),
    [
        (b"h,i\n1,2\n3,4\n", True),
        (b"h,i\r\n1,2\r\n3,4", True),
        (b'h,i\n"1, one","2 ""two"""\n"3\nthree",\n', True),
        (b"h,i\n1,2\n3\n", False),
        (b'h,i\n1,2" wide\n', False),
        (b"h,i\n1,2\n\n", False),
        (b"h,i\n1,2\r3,4\n", False),
    ],
)
def test_which_chunks_are_divided_as_one_text(data: bytes, *, divided: bool) -> None:
    """Plain rows and well-formed quotes are split in C; ragged rows, stray quotes and empty lines are not."""
    cells = Cells(io.BytesIO(data))
    cells.row()
    assert {bool(chunk.columns) for chunk in cells.chunks(2)} == {divided}


def test_a_byte_order_mark_is_passed_over_where_it_may_stand() -> None:
    """A byte order mark at the beginning is skipped if requested; elsewhere it is text."""
    assert Cells(io.BytesIO(b"\xef\xbb\xbfa,b\n"), bom=True).row() == ["a", "b"]
    assert Cells(io.BytesIO(b"\xef\xbb\xbfa,b\n")).row() == ["\ufeffa", "b"]
    cells = Cells(io.BytesIO(b"a,b\n\xef\xbb\xbfc,d\n"), bom=True)
    cells.row()
    assert [chunk.columns for chunk in cells.chunks(2)] == [[["\ufeffc"], ["d"]]]


@pytest.mark.parametrize(("more", "too_long"), [(0, False), (4096, True)])
def test_the_longest_line(more: int, too_long: bool) -> None:  # noqa: FBT001
    """A line of 16 MiB is read, and a longer one is given up, so that its end is not waited for."""
    cells = Cells(io.BytesIO(b"x" * (16 * 1024 * 1024 + more) + b"\n"), chunk=4096)
    try:
        found = len(cells._piece())  # noqa: SLF001 - a row of that length has another limit
    except csv.Error:
        found = 0
    assert (found == 0) is too_long
