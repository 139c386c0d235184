"""Readers: rows with their lines from bytes or mappings; input that cannot be divided is refused."""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import io
import json
import uuid
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from irmcore.errors import InputError
from irmcore.shaping.readers import (
    MAX_FIELD_CHARACTERS,
    NUL_MARK,
    SourceRow,
    Table,
    csv_table,
    decompressed,
    json_table,
    looks_like_json,
    mappings_table,
)


def stream(data: bytes) -> io.BufferedReader:
    """A file of these bytes."""
    return io.BufferedReader(io.BytesIO(data))


def from_csv(data: bytes, ragged: str = "refuse") -> Table:
    """The table of a CSV file of these bytes."""
    return csv_table(stream(data), name="in.csv", ragged=ragged)


def from_json(data: bytes) -> list[SourceRow]:
    """The rows of a JSON-lines file of these bytes."""
    return list(json_table(stream(data), ("a", "b"), name="in.json").rows)


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"a,b\n1,2\n3,4\n", [(2, ("1", "2")), (3, ("3", "4"))]),
        (b"a,b\r\n1,2\r\n3,4", [(2, ("1", "2")), (3, ("3", "4"))]),
        (b"a,b\r1,2\r3,4\r", [(2, ("1", "2")), (3, ("3", "4"))]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [(2, ("1", "2"))]),
        (b'\xef\xbb\xbf"a",b\n1,2\n', [(2, ("1", "2"))]),
        (b'a,b\n"1,2",3\n', [(2, ("1,2", "3"))]),
        (b'a,b\n"say ""no""",3\n', [(2, ('say "no"', "3"))]),
        (b'a,b\n"one\ntwo",3\n4,5\n', [(2, ("one\ntwo", "3")), (4, ("4", "5"))]),
        (b'a,b\n"one\r\ntwo",3\n4,5\n', [(2, ("one\r\ntwo", "3")), (4, ("4", "5"))]),
        (b'a,b\n"one\rtwo",3\n4,5\n', [(2, ("one\rtwo", "3")), (4, ("4", "5"))]),
        (b'a,b\n"\n\n\n",3\n4,5\n', [(2, ("\n\n\n", "3")), (6, ("4", "5"))]),
        (b'a,b\n1,5" disk\n', [(2, ("1", '5" disk'))]),
        (b"a,b\n 1 , 2 \n", [(2, (" 1 ", " 2 "))]),
        (b"a,b\n,\n", [(2, ("", ""))]),
        (b"\n\na,b\n\n1,2\n\n\r\n3,4\n\n", [(5, ("1", "2")), (8, ("3", "4"))]),
        (b"a,b\n1\0,2\n", [(2, ("1\udc00", "2"))]),
        (b"a,b\n1,\xff\xc3\n", [(2, ("1", "\udcff\udcc3"))]),
        ("a,b\nzo\u00eb,\u2028\n".encode(), [(2, ("zo\u00eb", "\u2028"))]),
        (b"a,b\n1,2\x1a\n", [(2, ("1", "2\x1a"))]),
        (b"a,b\n", []),
        (b"a,b", []),
    ],
)
def test_a_csv_file(data: bytes, rows: list[tuple[int, tuple[str, ...]]]) -> None:
    """Each row comes out once, unchanged, with the line on which it begins."""
    table = from_csv(data)
    assert table.header == ("a", "b")
    assert list(table.rows) == [SourceRow(line, values) for line, values in rows]


@pytest.mark.parametrize(
    ("ragged", "data", "rows"),
    [
        (
            "refuse",
            b"a,b\n1,2,3\n4,5\n",
            [SourceRow(2, ("1", "2", "3"), "ragged-long"), SourceRow(3, ("4", "5"))],
        ),
        ("refuse", b"a,b\n1\n4,5\n", [SourceRow(2, ("1",), "ragged-short"), SourceRow(3, ("4", "5"))]),
        ("join-last", b"a,b\n1,2,3, 4\n", [SourceRow(2, ("1", "2,3, 4"))]),
        ("join-last", b'a,b\n1,"2,3",\n', [SourceRow(2, ("1", "2,3,"))]),
        ("join-last", b"a,b\n1\n", [SourceRow(2, ("1",), "ragged-short")]),
        ("join-last", b"a\n1,2\n", [SourceRow(2, ("1,2",))]),
        (
            "refuse",
            b'a,b\n"x"y,2\n"z" ,3\n4,5\n',
            [
                SourceRow(2, ('"x"y,2',), "malformed-quoting"),
                SourceRow(3, ('"z" ,3',), "malformed-quoting"),
                SourceRow(4, ("4", "5")),
            ],
        ),
    ],
)
def test_a_bad_row_costs_only_itself(ragged: str, data: bytes, rows: list[SourceRow]) -> None:
    """A row with too many or too few fields, or a stray quote, is refused with its line; the others pass."""
    assert list(from_csv(data, ragged).rows) == rows


UTF16 = (
    "in.csv: the file is not UTF-8 text (it may be UTF-16, or not CSV at all). "
    "Save it as 'CSV UTF-8' and send that file."
)
HEADER = "Correct the header line and send the file again."
UNCLOSED = (
    "a value that starts here does not end (an unclosed quote, or more than 4 MiB), "
    "so the rows after it cannot be told apart. "
    'Close the quote, or double it ("") if it is part of the value.'
)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "in.csv: the file is empty. Give a CSV file with a header line."),
        (b"\xef\xbb\xbf", "in.csv: the file is empty. Give a CSV file with a header line."),
        (b"\n\r\n\n", "in.csv: the file is empty. Give a CSV file with a header line."),
        ("a,b\n1,2\n".encode("utf-16"), UTF16),
        (b"\xfe\xff" + "a,b\n1,2\n".encode("utf-16-be"), UTF16),
        ("a,b\n1,2\n".encode("utf-16-le"), UTF16),
        ("a,b\n1,2\n".encode("utf-16-be"), UTF16),
        (b"a\0,b\n1,2\n", UTF16),
        (
            b"pr\xe9nom,b\n1,2\n",
            "in.csv:1: the header line is not UTF-8. "  # noqa: ISC004
            "Save it as UTF-8, or set `encoding: cp1252` under `input.format` in the profile.",
        ),
        (b"a,b,a,c,b\n1,2,3,4,5\n", f"in.csv:1: columns 1 and 3 of the header have the same name. {HEADER}"),
        (b'"a"x,b\n1,2\n', f"in.csv:1: the header line cannot be read as CSV. {HEADER}"),
        (b'"a,b\n1,2\n', f"in.csv:1: the header line cannot be read as CSV. {HEADER}"),
    ],
)
def test_a_file_without_a_readable_header(data: bytes, said: str) -> None:
    """A file with a bad header is refused before any row, with a printable message."""
    with pytest.raises(InputError) as caught:
        from_csv(data)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("data", "before", "line"),
    [
        (b'a,b\n1,2\n3,"x\n4,5\n6,7\n', 1, 3),
        (b'a,b\n1,2\n3,"', 1, 3),
        (b'a,b\n1,2\n3,"x\n4,5\n6,"y"\n7,8\n', 1, 3),
        (b'a,b\n"one\ntwo",2\n3,"x\n"4",5\n', 1, 4),
        (b'a,b\n"one\ntwo"x,2\n3,4\n', 0, 2),
        (b'a,b\n1,"' + b"x" * (MAX_FIELD_CHARACTERS + 1) + b'"\n3,4\n', 0, 2),
    ],
)
def test_a_quote_that_never_closes(data: bytes, before: int, line: int) -> None:
    """If a quote makes it unclear where rows end, the file is refused, so no row is silently lost."""
    rows = from_csv(data).rows
    assert [next(rows).refused for _ in range(before)] == [None] * before
    with pytest.raises(InputError) as caught:
        next(rows)
    assert str(caught.value) == f"in.csv:{line}: {UNCLOSED}"


def test_the_longest_field() -> None:
    """A field of the maximum length passes; longer ones occur only after an unclosed quote."""
    longest = "x" * MAX_FIELD_CHARACTERS
    assert list(from_csv(f"a,b\n{longest},2\n".encode()).rows) == [SourceRow(2, (longest, "2"))]


CELLS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=6)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=6), st.sampled_from(("\n", "\r\n", "\r")))
def test_what_csv_writes_is_read_back(rows: list[tuple[str, str]], end: str) -> None:
    """Any cells quoted by RFC 4180 are read unchanged, except that a NUL becomes a mark."""
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    found = [row.values for row in from_csv(text.getvalue().encode()).rows]
    assert found == [tuple(cell.replace("\0", NUL_MARK) for cell in row) for row in rows]


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from((b'"', b",", b"\n", b"\r", b"a", b"\xff"))).map(b"".join)
)
def test_any_bytes_are_rows_or_an_input_error(data: bytes) -> None:
    """Files raise only InputError, and every row has the header's width or a reason."""
    try:
        table = from_csv(b"a,b\n" + data)
        rows = list(table.rows)
    except InputError as error:
        str(error).encode("utf-8")
        return
    assert all(len(row.values) == 2 or row.refused for row in rows)
    lines = [row.line for row in rows]
    assert lines == sorted(set(lines))


# -- gzip -----------------------------------------------------------------------------------

PACKED = gzip.compress(b"a,b\n1,2\n", mtime=0)


@pytest.mark.parametrize(
    ("data", "unpacked"),
    [
        (b"a,b\n1,2\n", b"a,b\n1,2\n"),
        (b"", b""),
        (b"\x1f", b"\x1f"),
        (PACKED, b"a,b\n1,2\n"),
        (PACKED + PACKED, b"a,b\n1,2\na,b\n1,2\n"),
        (PACKED + b"\0\0", b"a,b\n1,2\n"),
    ],
)
def test_gzip_is_recognized_by_its_first_bytes(data: bytes, unpacked: bytes) -> None:
    """All members of a gzip file are decompressed; other files are passed on."""
    assert decompressed(stream(data), "in.gz").read() == unpacked


@pytest.mark.parametrize(
    "data",
    [
        PACKED[:2],
        PACKED[:12],
        PACKED[:-3],
        PACKED[:-8] + bytes(8),
        PACKED[:2] + b"\x09" + PACKED[3:],
        PACKED[:10] + b"\xff\xff" + PACKED[12:],
        PACKED + b"rubbish",
    ],
)
def test_a_damaged_gzip_file(data: bytes) -> None:
    """A gzip file that is truncated, changed or followed by other data raises InputError in every reader."""
    with pytest.raises(InputError) as caught:
        list(csv_table(decompressed(stream(data), "in.gz"), name="in.gz").rows)
    assert str(caught.value) == (
        "in.gz: the gzip file is truncated or damaged. Nothing was accepted. Create the file again."
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a": 1}\n', True),
        (b'\xef\xbb\xbf \r\n\t{"a": 1}', True),
        (gzip.compress(b'{"a": 1}\n', mtime=0), True),
        (b"a,b\n", False),
        (b'"{",b\n', False),
        (b"[1]\n", False),
        (b"", False),
    ],
)
def test_json_is_recognized_by_its_first_character(data: bytes, expected: bool) -> None:  # noqa: FBT001
    """A file is JSON lines if its first character is a brace; checking consumes nothing."""
    found = decompressed(stream(data), "in")
    assert looks_like_json(found) is expected
    assert found.read() == decompressed(stream(data), "in").read()


# -- JSON lines -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (b'{"a": "x", "b": "y"}', ("x", "y")),
        (b'{"b": "y", "a": "x", "c": {"d": [1]}}', ("x", "y")),
        (b'\xef\xbb\xbf{"a": "x"}', ("x", "")),
        (b' {"a": null}\r', ("", "")),
        (b'{"a":\r"x"}', ("x", "")),
        (b'{"a": true, "b": false}', ("true", "false")),
        (b'{"a": 1.50, "b": -0}', ("1.50", "-0")),
        (b'{"a": 1E400, "b": 1e-400}', ("1E400", "1e-400")),
        (
            b'{"a": 12345678901234567890123, "b": 0.1234567890123456789}',
            ("12345678901234567890123", "0.1234567890123456789"),
        ),
        (b'{"a": ' + b"9" * 10_000 + b"}", ("9" * 10_000, "")),
        (b'{"a": "x\\ny\\r\\nz", "b": "\\"q\\""}', ("x\ny\r\nz", '"q"')),
        (b'{"a": "\\u0000", "b": "\\ud800"}', ("\udc00", "\ud800")),
        (b'{"a": "\xff"}', ("\udcff", "")),
        ('{"a": "zo\u00eb\u2028\u0085", "b": "\\u00eb"}'.encode(), ("zo\u00eb\u2028\u0085", "\u00eb")),
        (b'{"a": "\\ud83d\\udc69"}', ("\U0001f469", "")),
    ],
)
def test_a_json_line(line: bytes, values: tuple[str, str]) -> None:
    """A scalar becomes its text, and a number keeps its digits; an absent or null field is empty."""
    assert from_json(line + b"\n") == [SourceRow(1, values)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"a": NaN}', "invalid-json"),
        (b'{"a": Infinity}', "invalid-json"),
        (b'{"a": -Infinity}', "invalid-json"),
        (b'{"a": 1', "invalid-json"),
        (b'{"a": 1} {"a": 2}', "invalid-json"),
        (b"{'a': 1}", "invalid-json"),
        (b'{"a": 01}', "invalid-json"),
        (b'{"a": "tab\t"}', "invalid-json"),
        (b"a,b", "invalid-json"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid-json"),
        (b'{"a": 1, "a": 1}', "duplicate-key"),
        (b'{"a": 1, "c": {"d": 1, "d": 2}}', "duplicate-key"),
        (b'{"a": [1]}', "not-a-scalar"),
        (b'{"a": {"x": 1}}', "not-a-scalar"),
        (b"[1, 2]", "not-an-object"),
        (b'"text"', "not-an-object"),
        (b"null", "not-an-object"),
        (b"7", "not-an-object"),
    ],
)
def test_a_bad_json_line_costs_only_itself(line: bytes, code: str) -> None:
    """A line that is not an object of scalars is refused with its line; blank lines are not rows."""
    data = b'{"a": 1}\n\n' + line + b'\n \r\n{"a": 2}'
    text = line.decode()
    assert from_json(data) == [
        SourceRow(1, ("1", "")),
        SourceRow(3, (text,), code),
        SourceRow(5, ("2", "")),
    ]


def test_the_text_of_a_bad_line_is_kept_as_it_stood() -> None:
    """The text of a refused line keeps spaces, NULs and invalid bytes, but not the line end."""
    assert from_json(b' {"a": \0 \xff \r\n')[0].values == (' {"a": \udc00 \udcff ',)
    rows = list(from_csv(b'a,b\r\n"x"y\0\xff, 2 \r\n1,2\r\n').rows)
    assert rows[0].values == ('"x"y\udc00\udcff, 2 ',)


@given(st.dictionaries(st.sampled_from(("a", "b", "c")), CELLS))
def test_what_json_writes_is_read_back(record: dict[str, str]) -> None:
    """Any texts are read unchanged, escaped or not, except that a NUL becomes a mark."""
    expected = tuple(record.get(field, "").replace("\0", NUL_MARK) for field in ("a", "b"))
    for ascii_only in (True, False):
        line = json.dumps(record, ensure_ascii=ascii_only).encode()
        assert from_json(line) == [SourceRow(1, expected)]


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


# -- mappings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        ("a\0b", "a\udc00b"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (10**30, "1000000000000000000000000000000"),
        (0.1, "0.1"),
        (float("nan"), "nan"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (
            datetime.datetime(2023, 4, 24, 5, 52, 56, 962686, tzinfo=datetime.timezone.utc),
            "2023-04-24T05:52:56.962686+00:00",
        ),
        (datetime.datetime(2023, 4, 24, 5, 52, 56), "2023-04-24T05:52:56"),  # noqa: DTZ001 - the case under test
    ],
)
def test_a_value_of_a_mapping(value: object, text: str) -> None:
    """Values as libraries give them become their texts."""
    table = mappings_table([{"a": value, "c": "not asked for"}], ["a", "b"])
    assert table.header == ("a", "b")
    assert list(table.rows) == [SourceRow(1, (text, ""))]


@pytest.mark.parametrize(
    ("row", "code", "text"),
    [
        ({"a": ["x"]}, "not-a-scalar", '{"a": ["x"]}'),
        ({"a": {"x": 1}, "b": 2}, "not-a-scalar", '{"a": {"x": 1}, "b": 2}'),
        ({"a": b"x"}, "not-a-scalar", '{"a": "b\'x\'"}'),
        ({"a": {1}}, "not-a-scalar", '{"a": "{1}"}'),
        (["x", "y"], "not-an-object", '["x", "y"]'),
        (None, "not-an-object", "null"),
        (CIRCLE, "not-an-object", "<a list that refers to itself>"),
    ],
)
def test_a_bad_mapping_costs_only_itself(row: object, code: str, text: str) -> None:
    """A record that is not a mapping of scalars is refused with its number and its text."""
    rows: Iterable[object] = [{"a": "1"}, row, {"a": "2"}]
    assert list(mappings_table(rows, ["a"]).rows) == [  # type: ignore[arg-type]
        SourceRow(1, ("1",)),
        SourceRow(2, (text,), code),
        SourceRow(3, ("2",)),
    ]


def test_rows_are_read_one_at_a_time() -> None:
    """A table is not read before its rows are requested."""
    taken = []

    def endless() -> Iterable[dict[str, str]]:
        while True:
            taken.append(1)
            yield {"a": "x"}

    rows = mappings_table(endless(), ["a"]).rows
    assert taken == []
    assert [next(rows).line, next(rows).line] == [1, 2]
    assert len(taken) == 2


# -- blocks against one row after the other ---------------------------------------------------------


def one_by_one(data: bytes, ragged: str) -> list[object]:
    """The rows of a two-column CSV file as csv.reader reads them, and the line of an unclosed quote."""
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", "surrogateescape", newline="")
    lines = [line.replace("\0", NUL_MARK) for line in text]
    reader = csv.reader(lines, strict=True)
    header = next(row for row in reader if row)
    found: list[object] = []
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return found
        except csv.Error as error:
            if reader.line_num > line or "unexpected end" in str(error):
                return [*found, line]
            found.append(SourceRow(line, (lines[line - 1].rstrip("\r\n"),), "malformed-quoting"))
            continue
        if len(row) == len(header):
            found.append(SourceRow(line, tuple(row)))
        elif row and len(row) < len(header):
            found.append(SourceRow(line, tuple(row), "ragged-short"))
        elif row and ragged == "join-last":
            found.append(SourceRow(line, (row[0], ",".join(row[1:]))))
        elif row:
            found.append(SourceRow(line, tuple(row), "ragged-long"))


#: What divides rows, what only seems to, and whole rows: good, ragged, of several lines, badly quoted.
TEXTS = [*'a",\n\r\0 ', "\r\n", "\n\n", '""', "\x0b", "\u2028", "\u0085", '"\n"', '"a\r\nb","\n\n"\n']
TEXTS += ["1,2\n", "1\r\n", "1,2,3\n", '"x"y,2\n', '"x,\n"y"\n', " \n", "x" * 5_000]


@settings(max_examples=300)
@given(
    st.sampled_from(("\n", "\r\n", "\r")),
    st.lists(st.tuples(st.sampled_from((0, 1, 61, 62, 63, 125)), st.sampled_from(TEXTS)), max_size=12),
    st.sampled_from(("refuse", "join-last")),
)
def test_blocks_are_the_rows_that_come_one_by_one(
    end: str, parts: list[tuple[int, str]], ragged: str
) -> None:
    """Wherever blocks end, each row comes once, with its line and its values or text."""
    data = f"a,b{end}".encode()
    data += "".join(f"1,2{end}" * good + text for good, text in parts).encode()
    found: list[object] = []
    try:
        found.extend(from_csv(data, ragged).rows)
    except InputError as error:
        found.append(int(str(error).split(":")[1]))
    assert found == one_by_one(data, ragged)
    blocks: list[object] = []
    try:
        for block in from_csv(data, ragged).blocks():
            good = [SourceRow(line, tuple(row)) for line, row in zip(block.lines, block.rows)]
            assert len(good) == len(block.lines)
            blocks.extend(sorted([*good, *block.refused]))
    except InputError:
        blocks.append(found[-1])
    assert blocks == found
