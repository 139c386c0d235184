"""Blocks: rows in blocks are the same rows with the same lines as rows one by one."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st
from irmcore.reasons import Refused
from irmcore.shaping import times
from irmcore.shaping.blocks import BLOCK_CHARACTERS, BLOCK_ROWS, SourceRow, in_blocks, next_block_rows
from irmcore.shaping.readers import csv_table
from irmcore.shaping.rows import RowRefused, Shaper

from tests.common.irmcore.profiles import profile

HEADER = ("user", "time", "score", "note")
CELL = st.text('a,"\r\n', max_size=4)


@given(st.lists(st.tuples(CELL, CELL), max_size=8), st.sampled_from(("\n", "\r\n", "\r")))
def test_the_lines_of_rows(rows: list[tuple[str, str]], end: str) -> None:
    """A row's line is the one it begins on, even if cells before it span lines."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    expected, line = [], 2
    for row in rows:
        expected.append(line)
        one = io.StringIO(newline="")
        csv.writer(one, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(row)
        line += len(io.StringIO(one.getvalue(), newline=None).readlines())
    data = text.getvalue().encode()
    (block,) = list(csv_table(io.BufferedReader(io.BytesIO(data)), name="x").blocks()) or [None]
    assert list(block.lines if block else []) == expected


def test_blocks_are_small_where_rows_are_large() -> None:
    """A block has a limited number of rows and a limited amount of text."""
    assert next_block_rows([["x"] * 100], 100) == 200
    assert next_block_rows([["x"] * BLOCK_ROWS], BLOCK_ROWS) == BLOCK_ROWS
    assert next_block_rows([["x" * BLOCK_CHARACTERS], ["y"]], 8) == 1
    assert next_block_rows([], 8) == 16
    assert next_block_rows([["x" * 639]], 300) == 409
    assert next_block_rows([["x" * 1023]], 300) == 256
    assert next_block_rows([[""] * 4], 8) == 16
    sizes = [SourceRow(1, ("x" * size,)) for size in (262_143, 1, 262_143, 1, 262_144, 9)]
    assert [len(block) for block in in_blocks(sizes)] == [2, 2, 1, 1]
    long = [SourceRow(line, ("x" * 100_000,)) for line in range(10)]
    assert [len(block) for block in in_blocks(long)] == [3, 3, 3, 1]
    short = [SourceRow(line, ("x",), "ragged-short" if line % 2 else None) for line in range(BLOCK_ROWS + 1)]
    assert [len(block) for block in in_blocks(short)] == [BLOCK_ROWS, 1]


USERS = st.sampled_from(("SaraD@contoso.com", "b@contoso.com", "nobody", ""))
TIMES = st.sampled_from(("2023-04-24T05:52:56Z", "2023-04-24T05:52:56.5Z", "1682315576", "never", ""))
NOTES = st.sampled_from(("note", "", "\udcff", "a\r", "\nb", "zo\u00eb"))
ROWS = st.lists(st.tuples(USERS, TIMES, st.sampled_from(("1", "x")), NOTES), max_size=12)


@given(ROWS)
def test_a_block_is_shaped_as_its_rows_are(rows: list[tuple[str, str, str, str]]) -> None:
    """Rows are shaped and refused alike in blocks and one by one, whatever their neighbours."""
    (block,) = list(in_blocks(SourceRow(at, row) for at, row in enumerate(rows))) or [None]
    if block is None:
        return
    shaped, refused = Shaper(profile(), HEADER).shape_block(block)
    found: dict[int, object] = dict(zip(shaped.positions, shaped.rows()))
    found.update({at: (why.column, why.code) for at, why in refused})
    alone: dict[int, object] = {}
    for at, row in enumerate(rows):
        try:
            alone[at] = Shaper(profile(), HEADER).shape(row)
        except RowRefused as why:
            alone[at] = (why.column, why.code)
    assert found == alone


WRITTEN = st.builds(
    "{}{}{}{}".format,
    st.dates().map(str) | st.sampled_from(("2023-02-30", "0000-01-01", "20230424", "2023-13-01")),
    st.sampled_from(("T05", "T23", " 05", "T24", "t05", "T5", "")),
    st.sampled_from((":52:56", ":00:00", ":60:00", ":52", "")),
    st.sampled_from(("Z", "+00:00", ".000Z", ".000000Z", ".5Z", "+02:00", "", "z")),
)


@given(st.lists(WRITTEN, min_size=1, max_size=5), st.sampled_from(times.FORMS))
def test_times_are_read_together_as_they_are_alone(texts: list[str], form: str) -> None:
    """Times parsed together are the same as one by one; if one is refused, all are."""
    try:
        alone = [times.read(text, zone=None, form=form) for text in texts]
    except Refused:
        alone = []
    try:
        found, written, precisions = times.parse_all(texts, zone=None, form=form)
    except Refused:
        found, written, precisions = [], [], b""
    assert list(zip(found, precisions)) == alone
    assert times.whole(written) == [times.canonical(time) for time, _ in alone]
    assert written == [times.brief(time) for time, _ in alone]
