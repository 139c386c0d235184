"""Numbers: their plain decimal form, or the reason for a refusal."""

from __future__ import annotations

from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.reasons import REASONS, Refused
from irmcore.shaping import numbers
from irmcore.shaping.numbers import canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"),
        ("6", "6"),
        ("10", "10"),
        ("007", "7"),
        ("000", "0"),
        ("+7", "7"),
        ("-7", "-7"),
        ("-0", "0"),
        ("-0.000", "0"),
        ("0e999999", "0"),
        ("10.000000", "10"),
        ("67.50", "67.5"),
        ("-0.10", "-0.1"),
        ("0.1", "0.1"),
        ("0.10000000000000000000", "0.1"),
        ("00012.3400", "12.34"),
        ("1e3", "1000"),
        ("1E+3", "1000"),
        ("1.5e1", "15"),
        (f"0.{998 * '0'}1e1000", "10"),
        ("1.25e1", "12.5"),
        ("1200e-1", "120"),
        ("12e-1", "1.2"),
        ("12e-2", "0.12"),
        ("1e-7", "0.0000001"),
        ("-1.5e-3", "-0.0015"),
        ("1e0003", "1000"),
        ("1e-0", "1"),
        ("  42 ", "42"),
        ("1.000", "1"),
        ("999999999999999", "999999999999999"),
        ("000000000000000000042", "42"),
        ("-999999999999999.000", "-999999999999999"),
        ("0.123456789012345", "0.123456789012345"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("3.3333333333333335", "3.3333333333333335"),
        ("1e14", "100000000000000"),
        ("1e-307", "0." + "0" * 306 + "1"),
        ("1" + "0" * 400 + "e-400", "1"),
    ],
)
def test_a_number(text: str, expected: str) -> None:
    """A number keeps its value and gets its shortest plain form."""
    assert canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "number-malformed"),
        (" ", "number-malformed"),
        ("-", "number-malformed"),
        (".", "number-malformed"),
        (".5", "number-malformed"),
        ("5.", "number-malformed"),
        ("1e", "number-malformed"),
        ("e3", "number-malformed"),
        ("1e3.5", "number-malformed"),
        ("--1", "number-malformed"),
        ("+ 1", "number-malformed"),
        ("1-", "number-malformed"),
        ("(1)", "number-malformed"),
        ("1.2.3", "number-malformed"),
        ("10.0.0.1", "number-malformed"),
        ("1 2", "number-malformed"),
        ("NaN", "number-malformed"),
        ("nan", "number-malformed"),
        ("inf", "number-malformed"),
        ("-Infinity", "number-malformed"),
        ("0x10", "number-malformed"),
        ("0b1", "number-malformed"),
        ("1_000", "number-malformed"),
        ("67%", "number-malformed"),
        ("$5", "number-malformed"),
        ("5k", "number-malformed"),
        ("five", "number-malformed"),
        ("true", "number-malformed"),
        ("null", "number-malformed"),
        ("5\n", "number-malformed"),
        ("\t5", "number-malformed"),
        ("\u00a05", "number-malformed"),
        ("5\0", "number-malformed"),
        ("\u0665", "number-malformed"),
        ("1\u0660", "number-malformed"),
        ("\uff11", "number-malformed"),
        ("\u00b2", "number-malformed"),
        ("\u00bd", "number-malformed"),
        ("\u22125", "number-malformed"),
        ("\u0661\u066c\u0660\u0660\u0660", "number-malformed"),
        ("1,000", "number-grouped"),
        ("-1,000.50", "number-grouped"),
        ("1,00,000", "number-grouped"),
        ("1,5", "number-grouped"),
        ("1.000,5", "number-grouped"),
        ("1.000.000", "number-grouped"),
        ("1 000", "number-grouped"),
        ("1'000", "number-grouped"),
        ("1\u2019000", "number-grouped"),
        ("1\u00a0000,5", "number-grouped"),
        ("1\u202f000\u202f000", "number-grouped"),
        ("1e309", "number-out-of-range"),
        ("-1e309", "number-out-of-range"),
        ("1e15", "number-out-of-range"),
        ("1000000000000000", "number-out-of-range"),
        ("1234567890123456", "number-out-of-range"),
        ("0.300000000000000041", "number-out-of-range"),
        ("0.30000000000000001", "number-out-of-range"),
        (f"0.{9_999 * '0'}1e10000", "number-out-of-range"),
        ("1e-308", "number-out-of-range"),
        ("1e-400", "number-out-of-range"),
        ("1e99999", "number-out-of-range"),
        ("1e" + "9" * 5000, "number-out-of-range"),
        ("9" * 5000, "number-out-of-range"),
    ],
)
def test_a_number_that_is_refused(text: str, expected: str) -> None:
    """Text that is not a number, or that no double preserves, is refused with the most helpful reason."""
    with pytest.raises(Refused) as caught:
        canonical(text)
    assert caught.value.code == expected


NUMBERS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "+", "-"]),
    st.text("0123456789", min_size=1, max_size=16),
    st.just("") | st.text("0123456789", min_size=1, max_size=8).map(".{}".format),
    st.just("") | st.integers(-320, 320).map("e{}".format),
)


@given(NUMBERS)
def test_a_number_keeps_its_value(text: str) -> None:
    """A result is the same decimal in plain form, is stable, and survives a double."""
    value = Decimal(text).normalize(Context(prec=400))
    try:
        number = canonical(text)
    except Refused as refused:
        if refused.code != "number-out-of-range":
            raise
        assert len(value.as_tuple().digits) > 15 or not -307 <= value.adjusted() <= 14
        return
    assert Decimal(number) == value
    assert number == f"{value:f}" or value == 0
    assert canonical(number) == number
    assert Decimal(repr(float(number))) == value


@given(st.text(st.characters()) | st.text("0123456789+-eE.,'_ \u0663\u00a0"))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    """Any text gives a stable plain number or a known reason."""
    try:
        number = canonical(text)
    except Refused as refused:
        if refused.code not in REASONS:
            raise
        return
    assert set(number) <= set("-.0123456789")
    assert canonical(number) == number


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("1250", "1250", "1250"),
        ("1.250", "1.25", "1250"),
        ("1,250", "1250", "1.25"),
        ("1,250.50", "1250.5", "<number-other-sign>"),
        ("1.250,50", "<number-other-sign>", "1250.5"),
        ("1,048,576", "1048576", "<number-other-sign>"),
        ("1.048.576", "<number-other-sign>", "1048576"),
        ("0.125", "0.125", "<number-other-sign>"),
        ("0,5", "<number-other-sign>", "0.5"),
        ("-3,75", "<number-other-sign>", "-3.75"),
        ("1 234 567", "1234567", "1234567"),
        ("1\u202f234,5", "<number-other-sign>", "1234.5"),
        ("1'234.50", "1234.5", "<number-other-sign>"),
        ("1,25", "<number-other-sign>", "1.25"),
        ("12,34,567", "<number-other-sign>", "<number-other-sign>"),
        ("1 234,567", "<number-other-sign>", "1234.567"),
        ("1'234.567", "1234.567", "<number-other-sign>"),
        ("1 234'567", "<number-other-sign>", "<number-other-sign>"),
        ("1e3", "1000", "1000"),
        ("1,5e3", "<number-malformed>", "1500"),
        (" 7 ", "7", "7"),
        ("n/a", "<number-malformed>", "<number-malformed>"),
        ("", "<number-malformed>", "<number-malformed>"),
    ],
)
def test_a_number_with_a_known_decimal_sign(text: str, point: str, comma: str) -> None:
    """Groups of three may have the other sign, a space or an apostrophe between them; nothing else may."""
    for sign, expected in (("point", point), ("comma", comma)):
        try:
            found = numbers.reader(sign)(text)
        except Refused as refused:
            found = f"<{refused.code}>"
        assert found == expected, sign


@pytest.mark.parametrize("text", ["1.250", "-12.345", "+999.000", " 1.250 "])
def test_a_number_that_can_be_read_in_two_ways_is_refused(text: str) -> None:
    """Unless the decimal sign is known, or the source always writes a point."""
    with pytest.raises(Refused) as caught:
        numbers.reader(None, asks=True)(text)
    assert caught.value.code == "number-two-ways"
    assert numbers.reader(None)(text) == numbers.canonical(text)


@pytest.mark.parametrize("text", ["0.125", "1250", "1234.567", "1.25", "1.2500", "12", "000.125"])
def test_a_number_with_one_reading_needs_no_sign(text: str) -> None:
    """No group of digits begins with a zero, and groups have three digits."""
    assert numbers.reader(None, asks=True)(text) == numbers.canonical(text)


@pytest.mark.parametrize("text", ["1'234", "1 234", "1\u00a0234", "1\u202f234", "1\u2019234"])
def test_a_whole_number_in_groups_needs_no_sign(text: str) -> None:
    """No decimal sign is a space or an apostrophe. What can be read otherwise is refused as before."""
    assert numbers.reader(None, asks=True)(text) == numbers.reader(None, asks=True)(f" {text} ") == "1234"
    assert numbers.reader(None, asks=True)(f"-{text}{text[1:]}") == "-1234234"
    for other in (f"{text},5", f"{text}.5", f"0{text}", text[:-1]):
        with pytest.raises(Refused):
            numbers.reader(None, asks=True)(other)


@given(st.integers(-(10**9), 10**9).map(lambda thousandths: Decimal(thousandths).scaleb(-3)))
def test_a_typed_number_is_read_in_one_way(number: Decimal) -> None:
    """Whatever decimal sign the profile names, or none."""
    expected = numbers.canonical(str(number))
    for sign in (None, "point", "comma"):
        assert numbers.reader(sign, asks=True)(numbers.typed(str(number), sign)) == expected


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("12", ""),
        ("1 234", ""),
        ("1.250", "either"),
        ("1,250", "either"),
        ("1.25", "point"),
        ("1'234.567", "point"),
        ("1 234,567", "comma"),
        ("0.125", "point"),
        ("1,048,576", "point"),
        ("1,250.5", "point"),
        ("1,25", "comma"),
        ("1.048.576", "comma"),
        ("1.250,5", "comma"),
        ("a,b", ""),
        ("1.2.3", ""),
    ],
)
def test_what_a_number_tells_of_its_sign(text: str, sign: str) -> None:
    """A sample is read by what its numbers prove."""
    assert numbers.signs(text) == sign
