"""Times as spreadsheets and portals write them: literal texts and what is read of them in each order."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.reasons import Refused
from irmcore.shaping import times, written_times


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("20.11.2026 09:15", "dmy", "2026-11-20T09:15:00"),
        ("1.2.2026 9:05:07", "dmy", "2026-02-01T09:05:07"),
        ("20/11/26 09:15", "dmy", "2026-11-20T09:15:00"),
        ("20.11.2026", "dmy", "2026-11-20"),
        ("20.11.2026, 09:15:03,25", "dmy", "2026-11-20T09:15:03.25"),
        ("11/20/2026 8:15 AM", "mdy", "2026-11-20T08:15:00"),
        ("11/20/2026, 5:40:05.123 PM", "mdy", "2026-11-20T17:40:05.123"),
        ("11/20/2026 12:00 AM", "mdy", "2026-11-20T00:00:00"),
        ("11/20/2026 12:00\u202fp.m.", "mdy", "2026-11-20T12:00:00"),
        ("02/01/2026", "mdy", "2026-02-01"),
        ("02/01/2026", "dmy", "2026-01-02"),
        ("2026/11/20 09:15:00", "ymd", "2026-11-20T09:15:00"),
        ("2026-11-20 00:15:00.123 -0800", "ymd", "2026-11-20T00:15:00.123-0800"),
        ("2026-11-20 09:15 +01", "ymd", "2026-11-20T09:15:00+01:00"),
        ("26/11/20", "ymd", "2026-11-20"),
        ("Nov 20, 2026 @ 10:11:12.000", "named", "2026-11-20T10:11:12.000"),
        ("November 20, 2026 8:15 AM", "named", "2026-11-20T08:15:00"),
        ("20 Nov 2026 08:15:00 GMT", "named", "2026-11-20T08:15:00Z"),
        ("Fri, 20 Nov 2026 08:15:00 +0000", "named", "2026-11-20T08:15:00+0000"),
        ("20-NOV-2026 08:15", "named", "2026-11-20T08:15:00"),
        ("Fri Nov 20 08:15:00 2026", "named", "2026-11-20T08:15:00"),
    ],
)
def test_a_time_in_its_order(text: str, order: str, expected: str) -> None:
    """The text becomes ISO 8601, with the offset that it has."""
    assert written_times.iso8601(text, order) == expected


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("2026-11-20 09:15", "dmy"),  # the year is first
        ("20.11.2026", "ymd"),
        ("20.11-2026", "dmy"),
        ("20.11.6", "dmy"),
        ("20.11.026", "dmy"),
        ("11/20/2026 13:00 PM", "mdy"),
        ("11/20/2026 0:30 AM", "mdy"),
        ("11/20/2026 8:15 CET", "mdy"),  # an abbreviation names several zones
        ("11/20/2026 UTC", "mdy"),
        ("20 Foo 2026", "named"),
        ("20 Nov 26", "named"),
        ("2026-11-20T09:15:00Z", "named"),
        ("", "dmy"),
        ("1" * 65, "dmy"),
        ("\u0661\u0661/20/2026", "mdy"),
    ],
)
def test_what_is_no_time_in_this_order(text: str, order: str) -> None:
    """It is refused, not read in another order."""
    with pytest.raises(Refused) as caught:
        written_times.iso8601(text, order)
    assert caught.value.code == "time-malformed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("11/10/2026 08:15", ("dmy", "mdy")),
        ("13/10/2026", ("dmy",)),
        ("10/13/2026", ("mdy",)),
        ("2026/10/13", ("ymd",)),
        ("26/11/20", ("dmy", "ymd")),
        ("10/11/12", ("dmy", "mdy", "ymd")),
        ("13/14/2026", ()),
        ("Nov 20, 2026", ("named",)),
        ("0/1/2026", ()),
        ("text", ()),
    ],
)
def test_which_orders_a_text_allows(text: str, expected: tuple[str, ...]) -> None:
    """Those in which day and month exist."""
    assert written_times.orders(text) == expected


def test_the_calendar_still_decides() -> None:
    """A day that its month lacks is refused when the time is parsed."""
    with pytest.raises(Refused) as caught:
        times.parse("31.11.2026", zone=timezone.utc, form="dmy")
    assert caught.value.code == "time-no-such-date"
    with pytest.raises(Refused) as caught:
        times.parse("20.11.2026 09:15", zone=None, form="dmy")
    assert caught.value.code == "time-without-zone"


@given(st.datetimes(min_value=times._EPOCH.replace(tzinfo=None)))  # noqa: SLF001
def test_what_is_written_in_an_order_is_read_in_it(time: datetime) -> None:
    """Day, month and year come back, whichever order wrote them."""
    for order, form in (("dmy", "{0:%d.%m.}{0.year:04d}"), ("mdy", "{0:%m/%d/}{0.year:04d}")):
        text = (form + "{0: %H:%M:%S}").format(time)
        assert written_times.iso8601(text, order) == f"{time.year:04d}{time:-%m-%dT%H:%M:%S}"
