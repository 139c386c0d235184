"""Which time an export reads: whole windows in UTC, none before it is over and its delay has passed. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from irmsentinel.content.aggregations import Aggregation, Span

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def floor(moment: datetime, window: timedelta) -> datetime:
    """The beginning of the window that a moment lies in."""
    return moment - (moment - _BEGINNING) % window


def closed(aggregation: Aggregation, now: datetime) -> datetime:
    """The end of the last window that may be read."""
    return floor(now - aggregation.delay, aggregation.window)


def wanted(aggregation: Aggregation, read_to: datetime | None, now: datetime) -> Span | None:
    """What is to be read: from the cursor less the overlap, or as far back as a first run goes.

    None if no window has closed since.
    """
    end = closed(aggregation, now)
    if read_to is None:
        return Span(end - aggregation.first, end)
    if read_to >= end:
        return None
    return Span(floor(read_to - aggregation.overlap, aggregation.window), end)


def due_at(aggregation: Aggregation, read_to: datetime | None, now: datetime) -> datetime:
    """When `run` reads it next; not after ``now`` if it is due."""
    if read_to is None:
        return now
    return read_to + aggregation.schedule + aggregation.delay


def whole(span: Span, window: timedelta) -> bool:
    """Whether a span begins and ends with a window."""
    return floor(span.start, window) == span.start < span.end == floor(span.end, window)


def first_of(span: Span, length: timedelta) -> Span:
    """The beginning of a span, at most so long."""
    return Span(span.start, min(span.end, span.start + length))


def shorter(span: Span, window: timedelta) -> timedelta | None:
    """Half of a span's length in whole windows; None if it is one window."""
    count = (span.end - span.start) // window
    return count // 2 * window if count > 1 else None
