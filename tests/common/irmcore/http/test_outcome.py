"""How long to wait before the next exchange, by a Retry-After header."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.http.outcome import retry_after

NOW = 1_682_315_576.0  # Mon, 24 Apr 2023 05:52:56 GMT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("   ", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("3600", 3600.0),
        ("3601", 3600.0),
        ("999999999999999999999999", 3600.0),
        ("9" * 5000, 3600.0),
        ("-1", None),
        ("1.5", None),
        ("+5", None),
        ("1e3", None),
        ("\u0665", None),
        ("\u00b2", None),
        ("soon", None),
        ("Mon, 24 Apr 2023 05:53:56 GMT", 60.0),
        ("Mon, 24 Apr 2023 05:53:56 +0000", 60.0),
        ("Mon, 24 Apr 2023 07:53:56 +0200", 60.0),
        ("Mon, 24 Apr 2023 05:53:56 -0000", 60.0),
        ("Mon, 24 Apr 2023 05:53:56", 60.0),
        ("Monday, 24-Apr-23 05:53:56 GMT", 60.0),
        ("Mon Apr 24 05:53:56 2023", 60.0),
        ("Mon, 24 Apr 2023 05:52:56 GMT", 0.0),
        ("Sun, 23 Apr 2023 05:52:56 GMT", 0.0),
        ("Tue, 25 Apr 2023 05:52:56 GMT", 3600.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Fri, 31 Dec 9999 23:59:59 -1200", 3600.0),
        ("Mon, 32 Apr 2023 05:52:56 GMT", None),
        ("Mon, 24 Apr 2023 05:52:56 +99999999", None),
        ("Mon, 24 Apr 2023 05:52:56 +9999999999999999", None),
        ("Mon, 24 Apr 99999999999 05:52:56 GMT", None),
        ("2023-04-24T05:53:56Z", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    """A number of seconds or an HTTP date gives a wait of up to an hour. Anything else gives none."""
    assert retry_after(header, NOW) == seconds


@pytest.mark.parametrize("years", [-2, 0, 2])
def test_a_date_counts_from_the_services_clock(years: int) -> None:
    """A date is compared with the reply's own Date, however wrong this machine's clock is."""
    now = NOW + years * 365 * 86_400
    asked = "Mon, 24 Apr 2023 05:53:56 GMT"
    assert retry_after(asked, now, "Mon, 24 Apr 2023 05:52:56 GMT") == 60.0
    assert retry_after(asked, NOW, "no date") == 60.0


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_a_date_without_zone_is_gmt(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTP date is in GMT, whatever the zone of this machine."""
    try:
        monkeypatch.setitem(os.environ, "TZ", zone)
        time.tzset()
        assert retry_after("Mon Apr 24 05:53:56 2023", NOW) == 60.0
    finally:
        monkeypatch.undo()
        time.tzset()


DATE = st.lists(
    st.sampled_from(
        ("Mon,", "24", "Apr", "2023", "05:53:56", "GMT", "-0000", "+9999", "99", "9" * 20, ":", "-", ",", "A")
    ),
    max_size=8,
).map(" ".join)


@given(st.text() | DATE, st.floats(0, 4e9))
def test_any_header_gives_a_wait_or_none(header: str, now: float) -> None:
    """No header gives a negative wait, a wait of more than an hour, or an exception."""
    seconds = retry_after(header, now)
    assert seconds is None or 0.0 <= seconds <= 3600.0


def test_a_date_that_breaks_the_parser_of_3_9_gives_no_wait() -> None:
    """Python 3.9 raises IndexError for this text."""
    assert retry_after("Apr Mon, , Mon,", 0.0) is None
