"""Event times: which texts are read, and to which instant."""

from __future__ import annotations

import pytest
from irmemulator.event_times import format_time, parse_time
from irmemulator.settings import TimePrecision


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1970-01-01T00:00:00.1Z", 100_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T18:30:00-05:30", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2023-04-20T05:52:56.962686Z", 1_681_969_976_962_686),
        ("2023-04-20T05:52:56.9626867Z", 1_681_969_976_962_686),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ],
)
def test_reads_the_documented_format(text: str, instant: int) -> None:
    """A time in Microsoft's format is read exactly, and finer digits are cut off."""
    assert parse_time(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2023-04-20",
        "2023-04-20T05:52:56",
        "2023-04-20 05:52:56Z",
        "2023-04-20T05:52Z",
        "2023-04-20T05:52:56+0100",
        "2023-04-20T05:52:56+24:00",
        "2023-04-20T05:52:60Z",
        "2023-04-20T24:00:00Z",
        "2023-02-30T00:00:00Z",
        "2023-04-20T05:52:56.Z",
        "2023-04-20T05:52:56.1234567890Z",
        "20230420T055256Z",
        "0001-01-01T00:00:00+01:00",
        "٢٠٢٣-04-20T05:52:56Z",
        " 2023-04-20T05:52:56Z",
        "2023-04-20T05:52:56Z\n",
        "20/04/2023 05:52",
    ],
)
def test_reads_nothing_else(text: str) -> None:
    """A time in any other format is refused."""
    assert parse_time(text) is None


@pytest.mark.parametrize(
    ("precision", "kept"),
    [
        ("us", "2023-04-20T05:52:56.962686Z"),
        ("ms", "2023-04-20T05:52:56.962000Z"),
        ("s", "2023-04-20T05:52:56.000000Z"),
    ],
)
def test_cuts_to_the_precision(precision: TimePrecision, kept: str) -> None:
    """Digits beyond the emulator's precision are cut off."""
    instant = parse_time("2023-04-20T05:52:56.962686Z", precision)
    assert instant is not None
    assert format_time(instant) == kept
