"""Batches: payloads of canonical CSV within the limits, and their halves."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.profile import Limits, Profile, parse
from irmcore.shaping.batches import Batcher, Lines, halves, line_writer

from tests.common.irmcore.profiles import TEXT, profile

HEADER = b"user,time,score,note\r\n"


def limited(rows: int, size: int = 1_000_000) -> Profile:
    """The small profile with limits that are too low for a profile file."""
    return replace(profile(), limits=Limits(rows=rows, bytes=size))


def filled(of: Profile, *rows: tuple[str, ...]) -> list[bytes]:
    """The payloads that hold these rows."""
    batcher, payloads, at = Batcher(of), [], 0
    lines = Lines.of(list(zip(*rows)))
    while at < len(rows):
        at = batcher.fill(lines, at)
        if at < len(rows):
            payloads.append(batcher.take())
    return [*payloads, batcher.take()]


def filled_alone(of: Profile, *rows: tuple[str, ...]) -> list[bytes]:
    """The expected payloads: a line that would exceed a limit begins the next one."""
    header = Batcher(of).take()
    payloads: list[list[bytes]] = [[]]
    for row in rows:
        line = Batcher(of).encode(row)
        assert line is not None
        size = len(header) + sum(map(len, payloads[-1])) + len(line)
        if len(payloads[-1]) == of.limits.rows or size > of.limits.bytes:
            payloads.append([])
        payloads[-1].append(line)
    return [header + b"".join(lines) for lines in payloads]


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (("a", "b", "c", "d"), b"a,b,c,d\r\n"),
        (("", "", "", ""), b",,,\r\n"),
        (("a,b", 'say "no"', "one\ntwo", "one\r\ntwo"), b'"a,b","say ""no""","one\ntwo","one\r\ntwo"\r\n'),
        ((" a ", "\t", "zo\u00eb", "=1+1"), b" a ,\t,zo\xc3\xab,=1+1\r\n"),
        (('"', ",", "\n", "'"), b'"""",",","\n",\'\r\n'),
        (("\u2028", "\ufeff", "\U0001f469", "#"), b"\xe2\x80\xa8,\xef\xbb\xbf,\xf0\x9f\x91\xa9,#\r\n"),
    ],
)
def test_a_line(cells: tuple[str, ...], line: bytes) -> None:
    """A line is RFC 4180 in UTF-8, ends in CR LF, and quotes only cells that need it."""
    assert Batcher(profile()).encode(cells) == line


def test_a_header_is_quoted_as_a_row_is() -> None:
    """The header line has the profile's headers in its order, quoted where needed."""
    of = parse(TEXT.replace("header: note", 'header: "note, \\"free\\""'), "p.yaml")
    assert Batcher(of).take() == b'user,time,score,"note, ""free"""\r\n'


def test_the_limit_of_rows() -> None:
    """A payload has the header and at most the allowed rows; the next one starts empty."""
    rows = [(str(number), "t", "1", "") for number in range(5)]
    assert filled(limited(2), *rows) == [
        HEADER + b"0,t,1,\r\n1,t,1,\r\n",
        HEADER + b"2,t,1,\r\n3,t,1,\r\n",
        HEADER + b"4,t,1,\r\n",
    ]


def test_the_limit_of_bytes() -> None:
    """A payload, with its header, is at most as long as the limit."""
    # header 22 bytes, each row 8
    rows = [(str(number), "t", "1", "") for number in range(3)]
    two = HEADER + b"0,t,1,\r\n1,t,1,\r\n"
    assert len(two) == 38
    assert filled(limited(100, 38), *rows) == [two, HEADER + b"2,t,1,\r\n"]
    assert [len(payload) for payload in filled(limited(100, 37), *rows)] == [30, 30, 30]


def test_a_row_that_fits_no_batch() -> None:
    """A line is None if it exceeds the limit together with the header."""
    batcher = Batcher(limited(100, 30))
    assert batcher.encode(("0", "t", "1", "")) == b"0,t,1,\r\n"
    assert batcher.encode(("00", "t", "1", "")) is None
    assert batcher.encode(("\u00eb", "t", "1", "")) is None


@given(st.integers(1, 12), st.integers(30, 70))
def test_a_row_that_surely_fits(size: int, limit: int) -> None:
    """It is told from the text alone, and exactly for a row of quotes, which needs the most bytes."""
    batcher = Batcher(limited(100, limit))
    fits = batcher.encode(('"' * size, '"', '"', '"')) is not None
    assert batcher.surely_fits(size + 3) is fits


def test_how_many_rows_are_in() -> None:
    """The length of a batcher is the number of rows in the current payload."""
    batcher = Batcher(profile())
    assert len(batcher) == 0
    assert batcher.fill(Lines.of([("0", "1"), ("t", "t"), ("1", "1"), ("", "")]), 1) == 2
    assert len(batcher) == 1
    batcher.take()
    assert len(batcher) == 0


CELL = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0") | st.sampled_from('\r\n",'),
    max_size=5,
)
ROWS = st.lists(st.tuples(CELL, CELL, CELL, CELL), min_size=1, max_size=9)


def table(payload: bytes) -> list[tuple[str, ...]]:
    """The rows of a payload as Python's csv reads them, with the header."""
    return [tuple(row) for row in csv.reader(io.StringIO(payload.decode("utf-8"), newline=""), strict=True)]


@given(ROWS)
def test_lines_written_together_are_those_written_alone(rows: list[tuple[str, ...]]) -> None:
    """Lines made column by column or row by row have csv.writer's bytes, which identify a batch."""
    found = Lines.of(list(zip(*rows)))
    alone = [Batcher(profile()).encode(row) or b"" for row in rows]
    assert found.text == b"".join(alone)
    assert list(found.ends) == list(accumulate(map(len, alone)))
    assert list(found.rows()) == rows


@given(ROWS, st.integers(1, 4), st.integers(60, 120))
def test_lines_filled_together_are_batched_as_alone(
    rows: list[tuple[str, ...]], most: int, size: int
) -> None:
    """Many lines at once fill the same payloads as lines one by one."""
    of = limited(most, size)
    rows = [row for row in rows if Batcher(of).encode(row) is not None]
    assert filled(of, *rows) == filled_alone(of, *rows)


@given(ROWS, st.integers(1, 4), st.integers(60, 120))
def test_payloads_parse_back(rows: list[tuple[str, ...]], most: int, size: int) -> None:
    """All rows read back in order; each payload has the header and is within the limits."""
    of = limited(most, 22 + 90 + size)
    payloads = filled(of, *rows)
    tables = [table(payload) for payload in payloads]
    assert [row for found in tables for row in found[1:]] == rows
    for payload, found in zip(payloads, tables):
        assert found[0] == ("user", "time", "score", "note")
        assert 1 <= len(found) - 1 <= most
        assert len(payload) <= of.limits.bytes


def test_halves_of_a_payload() -> None:
    """Five rows have halves of two and three with the same header; a single row has none."""
    rows = [b'0,t,1,"a\r\nb"\r\n', b'1,t,1,"a\nb"\r\n', b"2,t,1,\r\n", b'3,t,1,"x,""y"""\r\n', b"4,t,1,\r\n"]
    assert halves(HEADER + b"".join(rows)) == (
        (HEADER + b"".join(rows[:2]), 2),
        (HEADER + b"".join(rows[2:]), 3),
    )
    assert halves(HEADER + rows[0] + rows[1]) == ((HEADER + rows[0], 1), (HEADER + rows[1], 1))
    assert halves(HEADER + rows[1]) is None


@pytest.mark.usefixtures("csvs_own_limit")
def test_a_long_field_is_read_back() -> None:
    """Csv's own limit of a field, 131,072 characters, is that of a process that has read no CSV yet."""
    rows = [b"%d,t,1,%s\r\n" % (number, b"x" * 200_000) for number in range(2)]
    assert halves(HEADER + b"".join(rows)) == ((HEADER + rows[0], 1), (HEADER + rows[1], 1))
    csv.field_size_limit(131_072)
    assert list(Lines.of([["a"], ["x" * 200_000]]).rows()) == [("a", "x" * 200_000)]


@given(ROWS)
def test_halves_lose_no_row(rows: list[tuple[str, ...]]) -> None:
    """Halving repeatedly ends in single rows, which together are the payload's rows; it is deterministic."""
    (payload,) = filled(limited(100), *rows)
    assert halves(payload) == halves(payload)
    parts, single = [(payload, len(rows))], []
    while parts:
        part, count = parts.pop(0)
        assert len(table(part)) == count + 1
        split = halves(part)
        if split is None:
            single.append(part)
        else:
            parts[:0] = split
    assert single == [filled(limited(1), row)[0] for row in rows]


def test_a_line_writer_keeps_nothing() -> None:
    """Each call gives only the line of its row."""
    write = line_writer()
    assert [write(["a", "b"]), write(["c", "d,e"])] == ["a,b\r\n", 'c,"d,e"\r\n']
