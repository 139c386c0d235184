from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmsentinel.content import aggregations
from irmsentinel.content.aggregations import Span
from irmsentinel.export import windows

DAILY = aggregations.named("okta")  # a delay of 6 hours, an overlap of 2 days, a first run of 7
HOURLY = replace(
    DAILY,
    window=timedelta(hours=1),
    delay=timedelta(minutes=30),
    overlap=timedelta(0),
    first=timedelta(days=1),
)


def at(text: str) -> datetime:
    """A time in November 2026: day and hour."""
    return datetime.fromisoformat(f"2026-11-{text}:00Z")


@pytest.mark.parametrize(
    ("aggregation", "now", "end"),
    [
        (DAILY, "20T05:59", "19T00:00"),
        (DAILY, "20T06:00", "20T00:00"),
        (DAILY, "20T23:59", "20T00:00"),
        (HOURLY, "20T05:29", "20T04:00"),
        (HOURLY, "20T05:30", "20T05:00"),
    ],
)
def test_a_window_is_read_when_it_is_over_and_its_delay_has_passed(
    aggregation: aggregations.Aggregation, now: str, end: str
) -> None:
    """Not a minute earlier."""
    assert windows.readable_until(aggregation, at(now)) == at(end)


@pytest.mark.parametrize(
    ("read_to", "start", "end"),
    [
        (None, "13T00:00", "20T00:00"),  # as far back as a first run goes
        ("19T00:00", "17T00:00", "20T00:00"),  # one new window, and the overlap again
        ("05T00:00", "03T00:00", "20T00:00"),  # all of a downtime
    ],
)
def test_what_is_due(read_to: str | None, start: str, end: str) -> None:
    """From the cursor less the overlap to the last ended window."""
    cursor = at(read_to) if read_to else None
    assert windows.due(DAILY, cursor, at("20T12:00")) == Span(at(start), at(end))


@pytest.mark.parametrize("read_to", ["20T00:00", "21T00:00"])
def test_nothing_is_due_before_a_window_has_ended(read_to: str) -> None:
    """Also if the clock was set back."""
    assert windows.due(DAILY, at(read_to), at("20T12:00")) is None


def test_when_it_is_due() -> None:
    """At once at first; later when windows of the schedule's length have ended and the delay has passed."""
    assert windows.due_at(DAILY, None, at("20T12:00")) == at("20T12:00")
    assert windows.due_at(DAILY, at("20T00:00"), at("20T12:00")) == at("21T06:00")
    weekly = replace(DAILY, schedule=timedelta(days=7))
    assert windows.due_at(weekly, at("13T00:00"), at("20T12:00")) == at("20T06:00")


@given(st.integers(0, 10_000), st.integers(1, 200), st.integers(1, 200))
def test_a_span_is_divided_without_gap_or_overlap(start: int, count: int, length: int) -> None:
    """The pieces of a span are adjacent, and each is whole windows."""
    hour = timedelta(hours=1)
    begin = datetime(2026, 1, 1, tzinfo=UTC) + start * hour
    rest = whole = Span(begin, begin + count * hour)
    pieces = []
    while rest.start < rest.end:
        pieces.append(windows.head(rest, length * hour))
        rest = replace(rest, start=pieces[-1].end)
    assert pieces[0].start == whole.start
    assert pieces[-1].end == whole.end
    assert all(one.end == other.start for one, other in pairwise(pieces))
    assert all(windows.is_whole(piece, hour) for piece in pieces)


@pytest.mark.parametrize(("hours", "half"), [(1, None), (2, 1), (3, 1), (168, 84)])
def test_half_of_a_span_is_whole_windows(hours: int, half: int | None) -> None:
    """A single window has no half."""
    hour, begin = timedelta(hours=1), at("20T00:00")
    expected = half * hour if half else None
    assert windows.half(Span(begin, begin + hours * hour), hour) == expected
