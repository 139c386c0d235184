"""Refused rows as a file to correct: its bytes, what a spreadsheet makes of it, and reading it again."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from irmcore.intake.dry_run import dry_run
from irmcore.profile import Profile
from irmcore.shaping.corrections import file_of, guarded, unguarded
from irmcore.shaping.readers import Table, file_table
from irmcore.shaping.reject_file import Reject, header_line, lines

from tests.common.irmcore.profiles import profile

HEADER = ("user", "time", "score", "note")
TIME = "2026-11-20T09:15:00Z"
SEMICOLONS = "input: {format: {delimiter: semicolon, encoding: cp1252, skip: 0}}\n"


def table(data: bytes, of: Profile) -> Table:
    """The rows of a file."""
    return file_table(io.BufferedReader(io.BytesIO(data)), of, name="in.csv")


def refused(data: bytes, of: Profile) -> tuple[bytes, list[tuple[str, ...]]]:
    """The reject file of a run of this file, and the rows that it sends."""
    written, sent = [header_line()], list[tuple[str, ...]]()
    found = table(data, of)
    dry_run(
        found,
        of,
        None,
        on_reject=lambda reject, header: written.append(lines([reject], header, "file")),
        on_row=sent.append,
    )
    return file_of([b"".join(written)], found.delimiter), sent


def test_the_file_of_some_refused_rows() -> None:
    """Our two columns, then the original's; cells beyond the header and undivided texts are there too."""
    rejects = [
        Reject(2, "user", "upn-without-domain", ("anna", TIME, "1", "zoë")),
        Reject(3, "score", "number-malformed", ("b@c.com", TIME, "=1+1", "-2")),
        Reject(4, "", "ragged-long", ("b@c.com", TIME, "1", "a", "b")),
        Reject(5, "", "ragged-short", ("b@c.com", TIME)),
        Reject(6, "", "malformed-quoting", ('"x"y,2',)),
    ]
    stored = header_line() + lines(rejects, HEADER, "file")
    header, *rows = csv.reader(io.StringIO(file_of([stored]).decode("utf-8-sig"), newline=""))
    assert header == ["irmexport_reason", "irmexport_advice", *HEADER]
    assert [[row[0], *row[2:]] for row in rows] == [
        ["upn-without-domain", "anna", TIME, "1", "zoë"],
        ["number-malformed", "b@c.com", TIME, "'=1+1", "'-2"],
        ["ragged-long", "b@c.com", TIME, "1", "a", "b"],
        ["ragged-short", "b@c.com", TIME, "", ""],
        ["malformed-quoting", '"x"y,2'],
    ]
    look_up = "Look up the user principal name of the account, or append its domain in the file."
    assert [row[1] for row in rows][::2] == [
        f"user: {look_up}",
        "Put quotes around every field that contains the delimiter.",
        "Quote the whole field and double each quote inside it.",
    ]


def test_several_files_have_the_columns_of_all() -> None:
    """Runs of files with other columns are in one file by their names."""
    one = header_line() + lines([Reject(2, "a", "missing-value", ("", "2"))], ("a", "b"), "file")
    other = header_line() + lines([Reject(2, "a", "missing-value", ("", "3"))], ("a", "c"), "file")
    rows = list(csv.reader(io.StringIO(file_of([one, other]).decode("utf-8-sig"))))
    assert [row[2:] for row in rows] == [["a", "b", "c"], ["", "2", ""], ["", "", "3"]]


def test_what_an_earlier_version_stored_is_read() -> None:
    """Rows that did not fit the header were lists or texts."""
    stored = header_line() + b'3,,ragged-long,Quote.,"[""a"", ""b""]"\r\n4,,invalid-json,Write.,"""{x"""\r\n'
    assert file_of([stored]).decode("utf-8-sig").splitlines()[1:] == [
        "ragged-long,Quote.,a,b",
        "invalid-json,Write.,{x",
    ]


@example("\n=1+1")
@given(st.text("'=+-@\t\n\rab1", max_size=6) | st.text())
def test_no_cell_is_a_formula_and_none_is_changed(text: str) -> None:
    """Whatever a cell begins with, apostrophes too, it is the same after writing and reading."""
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\n", "\r"))


def as_it_is(data: bytes) -> bytes:
    """The file as it was written."""
    return data


def saved_by_excel(data: bytes) -> bytes:
    """As Excel saves a CSV file where the list separator is a semicolon: ANSI, without a byte order mark."""
    text = io.StringIO(newline="")
    rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=";")
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("cp1252")


def saved_with_commas(data: bytes) -> bytes:
    """As another program saves it: UTF-8, commas, every cell in quotes."""
    text = io.StringIO(newline="")
    rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=";")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode("utf-8-sig")


@pytest.mark.parametrize("saved", [as_it_is, saved_by_excel, saved_with_commas])
def test_corrected_rows_are_those_of_the_original(saved: Callable[[bytes], bytes]) -> None:
    """After the mistake is mended, rows are shaped as if the original had been right; formulas too."""
    of = profile(SEMICOLONS)
    good = f"user;time;score;note\r\nanna@b.com;{TIME};1;=SUM(A1) für 'x'\r\nben@b.com;{TIME};-2;'+\r\n"
    bad = good.replace("@b.com", "")
    file, none = refused(bad.encode("cp1252"), of)
    assert none == []
    assert file.startswith(b"\xef\xbb\xbfirmexport_reason;irmexport_advice;user;")
    assert b";=" not in file
    mended = saved(file.replace(b";anna;", b";anna@b.com;").replace(b";ben;", b";ben@b.com;"))
    empty, sent = refused(mended, of)
    assert empty.count(b"\n") == 1
    assert sent == refused(good.encode("cp1252"), of)[1]
    assert [row[3] for row in sent] == ["=SUM(A1) für 'x'", "'+"]


def test_a_column_whose_name_looks_like_a_formula_is_found_again() -> None:
    """Elastic names its time `@timestamp`."""
    of = replace(profile(), columns=tuple(replace(one, field=f"@{one.field}") for one in profile().columns))
    file, _ = refused(f"@user,@time,@score,@note\r\nanna,{TIME},1,x\r\n".encode(), of)
    assert b",'@user,'@time," in file
    again, sent = refused(file.replace(b",anna,", b",anna@b.com,"), of)
    assert again.count(b"\n") == 1
    assert len(sent) == 1


def test_rows_that_are_refused_again_have_our_columns_once() -> None:
    """The file can be corrected in several rounds."""
    of = profile()
    first, _ = refused(f"user,time,score,note\r\nanna,{TIME},x,=1\r\n".encode(), of)
    second, _ = refused(first.replace(b",anna,", b",anna@b.com,"), of)
    header, row = second.decode("utf-8-sig").splitlines()
    assert header == "irmexport_reason,irmexport_advice,user,time,score,note"
    assert row.startswith("number-malformed,")
    assert row.endswith(f",anna@b.com,{TIME},x,'=1")


def test_a_byte_that_is_not_utf_8_stays_as_it_was() -> None:
    """It is still refused, and the person sees it where it was."""
    of = profile()
    first, _ = refused(b"user,time,score,note\r\nanna@b.com,2026-11-20T09:15:00Z,1,z\xeb\r\n", of)
    assert first.endswith(b",z\xeb\r\n")
    assert refused(first, of)[0] == first
