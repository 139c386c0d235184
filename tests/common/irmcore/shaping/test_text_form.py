"""How a text file is written, recognized and read: literal files in, rows out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from irmcore.errors import InputError
from irmcore.intake.pipeline import Pipeline
from irmcore.profile import Profile, parse
from irmcore.profile.model import Format
from irmcore.shaping.blocks import Block
from irmcore.shaping.readers import Table, csv_table, file_table
from irmcore.shaping.text_form import TextForm, header_row, recognized

from tests.common.irmcore.profiles import TEXT

FIELDS = ("user", "time", "score", "note")
ROWS = [("a", "b", "1", "x, y"), ("c", "d", "2", "ü")]


def profile(form: str = "") -> Profile:
    """The tests' profile with this `input.format`."""
    return parse(f"{TEXT}input: {{format: {{{form}}}}}\n", "p.yaml")


def table(data: bytes, form: str = "") -> Table:
    """The table of a file."""
    return file_table(io.BufferedReader(io.BytesIO(data)), profile(form), name="in.csv")


def rows(data: bytes, form: str = "") -> list[tuple[str, ...]]:
    """Its rows, or the reason code of a refused one."""
    return [row.values if row.refused is None else (row.refused,) for row in table(data, form).rows]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('user,time,score,note\na,b,1,"x, y"\nc,d,2,ü\n', ""),
        ("user;time;score;note\na;b;1;x, y\nc;d;2;ü\n", ""),
        ("user\ttime\tscore\tnote\na\tb\t1\tx, y\nc\td\t2\tü\n", ""),
        ('user|time|score|note\na|b|1|"x, y"\nc|d|2|ü\n', ""),
        ("sep=;\r\nuser;time;score;note\r\na;b;1;x, y\r\nc;d;2;ü\r\n", ""),
        ('#TYPE System.Object\r\nuser,time,score,note\r\na,b,1,"x, y"\r\nc,d,2,ü\r\n', ""),
        ("sep=^\nuser^time^score^note\na^b^1^x, y\nc^d^2^ü\n", ""),
        ('user,time,score,note,,\na,b,1,"x, y",,\nc,d,2,ü,,\n', ""),
        ('user, time, score, note\na, b, 1, "x, y"\nc, d, 2, ü\n', ""),
        ('user,time,score,note\na,b,1, "x, y"\nc,d,2,ü\n', ""),
        ("A report\n\nuser;time;score;note\na;b;1;x, y\nc;d;2;ü\n", ""),
        ("A report\nuser;time;score;note\na;b;1;x, y\nc;d;2;ü\n", "skip: 1, delimiter: semicolon"),
    ],
    ids=[
        *("comma", "semicolon", "tab", "bar", "sep", "type", "other sep", "unnamed"),
        *("spaces", "one space", "title", "told"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_gives_its_rows(text: str, form: str, encoding: str) -> None:
    """Whatever separates its columns and stands above its header."""
    assert rows(text.encode(encoding), form) == ROWS


def test_windows_1252_is_told() -> None:
    """Without it the row is refused; with it the letter is read."""
    data = "user;time;score;note\na;b;1;x\nc;d;2;ü\n".encode("cp1252")
    assert rows(data, "encoding: cp1252")[1] == ("c", "d", "2", "ü")
    assert rows(data)[1][3] == "\udcfc"


def test_a_byte_that_windows_1252_lacks_stays_no_text() -> None:
    """So its row is refused as invalid-utf8, not changed."""
    assert rows(b"user;time;score;note\na;b;1;\x81\n", "encoding: cp1252")[0][3] == "\udc81"


def test_utf_16_that_is_cut() -> None:
    """Half a character at the end refuses the file; a lone surrogate refuses its row."""
    data = "user,time,score,note\na,b,1,x\n".encode("utf-16")
    with pytest.raises(InputError, match="the file is cut"):
        rows(data[:-1])
    lone = "user,time,score,note\na,b,1,".encode("utf-16-le") + b"\x00\xd8" + "\n".encode("utf-16-le")
    assert rows(b"\xff\xfe" + lone)[0][3] == "\udced\udca0\udc80"


def test_a_value_in_a_column_without_a_name_refuses_its_row() -> None:
    """It could be a part of another value: an unquoted comma."""
    data = b"user,time,score,note,\na,b,1,x,\na,b,1,234,x\na,b,1,x\na,b,1,x,,\n"
    assert rows(data) == [("a", "b", "1", "x"), ("ragged-long",), ("a", "b", "1", "x"), ("ragged-long",)]


def test_joined_fields_keep_their_delimiter() -> None:
    """With join-last, semicolons stay semicolons."""
    told = parse(f"{TEXT}input: {{ragged: join-last}}\n", "p.yaml")
    data = b"user;time;score;note\na;b;1;x;y\n"
    found = file_table(io.BufferedReader(io.BytesIO(data)), told, name="in.csv")
    assert [row.values for row in found.rows] == [("a", "b", "1", "x;y")]


def test_people_are_told_what_separates_the_columns() -> None:
    """Semicolons are called semicolons; a comma needs no word."""
    assert table(b"user;time;score;note\n").form == "columns separated by semicolons"
    assert table(b"user,time,score,note\n").form == ""


def test_lines_are_counted_from_the_first() -> None:
    """Lines above the header count, so a message names the line that an editor shows."""
    data = b"sep=;\nuser;time;score;note\na;b;1;x\na;b\n"
    assert [(row.line, row.refused) for row in table(data).rows] == [(3, None), (4, "ragged-short")]


def test_the_header_decides_between_delimiters() -> None:
    """The delimiter with the profile's fields, although another gives more columns."""
    start = b"user;time;score;a,b,c,d,e,f\n"
    assert recognized(start, Format(), ("user", "time")) == TextForm(";")
    assert recognized(start, Format()).delimiter == ","
    assert recognized(b"only\n", Format()).delimiter == ","
    assert recognized(b"Report\n\nuser;time;score\na;b;1,5\n", Format()).delimiter == ";", "below a title"


def test_titles_have_few_cells() -> None:
    """The header is the first row with more than half of the cells; rows longer than it change nothing."""
    assert header_row([["Report"], ["By", "x"], ["a", "b", "c", "d"], ["1", "2", "3", "4"]]) == 2
    assert header_row([["a", "b", "c", "d"], ["1", "2", "3", "4", "5"]]) == 0
    assert header_row([["x", "y"], ["a", "b"]], ("a", "b")) == 1
    assert header_row([]) == 0


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_worker_processes_read_the_same(tmp_path: Path, delimiter: str) -> None:
    """A file with a sep= line and an empty column gives the same batches in any number of processes."""
    path = tmp_path / "in.csv"
    lines = [f"sep={delimiter}", delimiter.join((*FIELDS, ""))]
    times = [f"2026-11-20T08:{n // 60:02d}:{n % 60:02d}Z" for n in range(3000)]
    lines += [delimiter.join((f"u{n}@contoso.com", time, str(n), "x", "")) for n, time in enumerate(times)]
    path.write_text("\n".join(lines) + "\n")
    found = []
    for workers in (0, 2):
        pipeline = Pipeline(profile(), None, workers)
        with path.open("rb") as file:
            given = csv_table(file, name="in.csv", fields=FIELDS)
            found.append([batch.payload for batch in pipeline.batches(given, "in.csv")])
        assert pipeline.counts().shaped == 3000
    assert found[0] == found[1]


def test_a_file_without_a_delimiter_in_sight_has_one_column() -> None:
    """As before: blocks of one column."""
    (block,) = csv_table(io.BufferedReader(io.BytesIO(b"only\nx\n")), name="in.csv").blocks()
    assert isinstance(block, Block)
    assert block.rows == [["x"]]
