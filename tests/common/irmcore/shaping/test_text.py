"""Text: unchanged, or refused with a reason; and hazards, which are only reported."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.reasons import REASONS, Refused
from irmcore.shaping.text import HAZARDS, canonical, hazards, may_have_hazards


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "  padded  ",
        "Model accuracy: 67%, Model name: LeaverPrediction_M1",
        'She said "no"',
        "a\tb",
        "line\nline",
        "line\r\nline",
        "\r\n",
        "\n\r\n",
        "=1+1",
        "zo\u00eb",
        "zoe\u0308",
        "\u212bngstr\u00f6m",
        "\u6771\u4eac",
        "\U0001f469\u200d\U0001f4bb",
        "\u202eevil",
        "\ufeffbom",
        "\u2028\u2029",
        "\u00a0",
        "\ufffd\ufffe\uffff",
        "\u0661\u0662",
    ],
)
def test_a_text_is_kept(text: str) -> None:
    """Text that passes is unchanged: not trimmed, normalized or escaped."""
    assert canonical(text) is text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\0b", "nul-character"),
        ("a\udc00b", "nul-character"),
        ("\0\x01", "nul-character"),
        ("\x01\0", "control-character"),
        ("a\rb", "control-character"),
        ("a\r", "control-character"),
        ("a\n\r", "control-character"),
        ("a\r\r\n", "control-character"),
        ("a\x1fb", "control-character"),
        ("a\x07b", "control-character"),
        ("a\x0bb", "control-character"),
        ("a\x0cb", "control-character"),
        ("\x1b[31m", "control-character"),
        ("a\x7fb", "control-character"),
        ("a\x80b", "control-character"),
        ("a\x85b", "control-character"),
        ("a\x9fb", "control-character"),
        ("a\udcffb", "invalid-utf8"),
        ("a\udc80", "invalid-utf8"),
        ("\ud800b", "invalid-utf8"),
        ("\udfff", "invalid-utf8"),
        ("\ud83d\udc69", "invalid-utf8"),
    ],
)
def test_a_text_that_is_refused(text: str, expected: str) -> None:
    """The first character that cannot be sent gives the reason."""
    with pytest.raises(Refused) as caught:
        canonical(text)
    assert caught.value.code == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("Salesforce - Printing sales reports", ()),
        ("zo\u00eb", ()),
        (" =1+1", ()),
        ("a=b", ()),
        ("=1+1", ("formula-prefix",)),
        ("+49 30", ("formula-prefix",)),
        ("-1", ("formula-prefix",)),
        ("@SUM(A1)", ("formula-prefix",)),
        ("\t=1", ("formula-prefix",)),
        ("\r\n=1", ("formula-prefix",)),
        ("\u202eevil", ("bidi-control",)),
        ("a\u2066b\u2069", ("bidi-control",)),
        ("\u061c", ("bidi-control",)),
        ("\u200f", ("bidi-control",)),
        ("a\u200bb", ("zero-width",)),
        ("a\u200db", ("zero-width",)),
        ("a\u2060b", ("zero-width",)),
        ("\ufeffa", ("zero-width",)),
        ("=\u202e\u200b", ("bidi-control", "zero-width", "formula-prefix")),
    ],
)
def test_the_hazards_of_a_text(text: str, expected: tuple[str, ...]) -> None:
    """Text that may mislead a reader or be run by a spreadsheet is named."""
    assert hazards(text) == expected


@given(st.text(st.characters()) | st.text("ab\0\t\n\r\x1f\x7f\x85\udc00\udcff\u202e\u200b="))
def test_any_text_is_kept_or_refused(text: str) -> None:
    """Text that passes is unchanged, valid UTF-8, and has no separator of the row key."""
    assert set(hazards(text)) <= set(HAZARDS)
    try:
        kept = canonical(text)
    except Refused as refused:
        if refused.code not in REASONS:
            raise
        return
    assert kept is text
    assert kept.encode("utf-8").decode("utf-8") == kept
    assert "\x1f" not in kept
    assert "\r" not in kept.replace("\r\n", "")


@pytest.mark.parametrize(
    ("line", "may"),
    [
        ("a,1", False),
        ("zo\u00eb,\u6771\u4eac", False),
        ("a=1,a@b", False),
        ("=1,a", True),
        ("a,-1", True),
        ('a,"=1"', True),
        ('"a\n=1",b', True),
        ("a\u202eb,c", True),
        ("a,b\u200bc", True),
        ("zo\u00eb,@a", True),
    ],
)
def test_a_payload_that_may_have_hazards(line: str, may: bool) -> None:  # noqa: FBT001
    """It is told from the text as a whole, without reading the cells."""
    assert may_have_hazards(f"h,i\r\n{line}\r\n") is may


@given(st.lists(st.lists(st.text('a=-@+\t\r\n",\u202e\u200b\u00eb', max_size=3), min_size=2, max_size=2)))
def test_no_hazard_is_missed_in_a_payload(rows: list[list[str]]) -> None:
    """If a cell has a hazard, its payload may have one."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([["h", "i"], *rows])
    if any(hazards(cell) for row in rows for cell in row):
        assert may_have_hazards(text.getvalue())
