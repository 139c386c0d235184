"""The reject file: each refused row with line, column, reason, advice and itself."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.reasons import REASONS
from irmcore.shaping.reject_file import UNDIVIDED, Reject, header_line, lines

HEADER = ("user", "note")


def test_the_header() -> None:
    """The first line names the five columns."""
    assert header_line() == b"line,column,reason,advice,row\r\n"


@pytest.mark.parametrize(
    ("reject", "expected"),
    [
        (
            Reject(7, "user", "upn-without-domain", ("sarad", "text")),
            (
                b"7,user,upn-without-domain,"
                b'"Look up the user principal name of the account, or append its domain in the file.",'
                b'"{""user"": ""sarad"", ""note"": ""text""}"\r\n'
            ),
        ),
        (
            Reject(7, "user", "user-unknown", ("x", ""), ("a@x.com", "zo\u00eb\udcff")),
            (
                b"7,user,user-unknown,"
                b'"Check the field that the name comes from, or map the name to its user. Candidates: a@x.com'
                b', zo\\xeb\\udcff","{""user"": ""x"", ""note"": """"}"\r\n'
            ),
        ),
        (
            Reject(8, "", "ragged-long", ("sarad@contoso.com", "a", "b")),
            (
                b"8,,ragged-long,Put quotes around every field that contains the delimiter.,"
                b'"{""user"": ""sarad@contoso.com"", ""note"": ""a"", ""irmexport_more"": [""b""]}"\r\n'
            ),
        ),
        (
            Reject(9, "", "invalid-json", ("=1+1",)),
            (
                b"9,,invalid-json,Write one complete JSON object on each line.,"
                b'"{""user"": null, ""note"": null, ""irmexport_more"": [""=1+1""]}"\r\n'
            ),
        ),
        (
            Reject(9, "", "malformed-quoting", ('"x"y,2',)),
            (
                b"9,,malformed-quoting,Quote the whole field and double each quote inside it.,"
                b'"{""user"": null, ""note"": null, ""irmexport_more"": [""\\""x\\""y,2""]}"\r\n'
            ),
        ),
        (
            Reject(10, "note", "invalid-utf8", ("=cmd|x", "\udcff\u00eb\r\n")),
            (
                b"10,note,invalid-utf8,Save the file as UTF-8 or set its `encoding` in the profile.,"
                b'"{""user"": ""=cmd|x"", ""note"": ""\\udcff\\u00eb\\r\\n""}"\r\n'
            ),
        ),
    ],
)
def test_a_refused_row(reject: Reject, expected: bytes) -> None:
    """A row is JSON in one cell: its values by name, and what has no name in a list."""
    assert lines([reject], HEADER, "file") == expected


def test_several_rows_and_none() -> None:
    """Lines are those of their rows, whatever their columns are called; no rows give no lines."""
    header = ('100 %s "', "a,b")
    rejects = [Reject(2, "", "no-free-slot", ("x", "y")), Reject(3, "", "ragged-short", ("x",))]
    assert lines(rejects, header, "file") == b"".join(lines([one], header, "file") for one in rejects)
    found = [json.loads(row[4]) for row in csv.reader(io.StringIO(lines(rejects, header, "file").decode()))]
    assert found == [{header[0]: "x", header[1]: "y"}, {header[0]: "x", header[1]: None}]
    assert lines([Reject(2, "", "no-free-slot", ("x", "y"))], ("a", "a"), "file").endswith(
        b'"{""a"": ""y""}"\r\n'
    )
    assert lines([], header, "file") == b""


#: All that a reader gives: characters, and marks for bytes that are none.
WITH_BYTES = st.characters(blacklist_categories=("Cs",)) | st.sampled_from("\udc00\udc80\udcff")


@given(
    st.sampled_from(sorted(REASONS)),
    st.lists(st.text(WITH_BYTES), max_size=3),
    st.sampled_from(("user", "=1+1", 'a"b', "a\nb", "")),
)
def test_any_row_can_be_read_back(code: str, values: list[str], column: str) -> None:
    """A line is one ASCII record whose row cell is JSON of the values and never a formula."""
    written = lines([Reject(3, column, code, tuple(values))], HEADER, "query")
    assert written.isascii()
    ((number, where, reason, advice, cell),) = csv.reader(io.StringIO(written.decode(), newline=""))
    assert (number, where, reason, advice) == ("3", column, code, REASONS[code].advice("query"))
    assert cell.startswith("{")
    found = json.loads(cell)
    if code in UNDIVIDED and len(values) == 1:
        assert found == {"user": None, "note": None, "irmexport_more": values}
        return
    named, more = [*values[:2], None, None][:2], values[2:]
    assert found == dict(zip(HEADER, named)) | ({"irmexport_more": more} if more else {})
