"""Which time an export reads: whole windows in UTC that have ended, plus a delay. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from irmsentinel.content.aggregations import Aggregation, Span

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor(moment: datetime, window: timedelta) -> datetime:
    """The beginning of the window that contains a moment."""
    return moment - (moment - _EPOCH) % window


def readable_until(aggregation: Aggregation, now: datetime) -> datetime:
    """The end of the last window that may be read."""
    return floor(now - aggregation.delay, aggregation.window)


def due(aggregation: Aggregation, read_to: datetime | None, now: datetime) -> Span | None:
    """The time to read: from the cursor less the overlap, or from the beginning of a first run.

    None if no window has ended since the cursor.
    """
    end = readable_until(aggregation, now)
    if read_to is None:
        return Span(end - aggregation.first, end)
    if read_to >= end:
        return None
    return Span(floor(read_to - aggregation.overlap, aggregation.window), end)


def due_at(aggregation: Aggregation, read_to: datetime | None, now: datetime) -> datetime:
    """When `run` next reads the aggregation; not after ``now`` if it is due."""
    if read_to is None:
        return now
    return read_to + aggregation.schedule + aggregation.delay


def is_whole(span: Span, window: timedelta) -> bool:
    """Whether a span consists of whole windows."""
    return floor(span.start, window) == span.start < span.end == floor(span.end, window)


def head(span: Span, length: timedelta) -> Span:
    """The beginning of a span, at most this long."""
    return Span(span.start, min(span.end, span.start + length))


def half(span: Span, window: timedelta) -> timedelta | None:
    """Half of a span's length in whole windows; None if the span is one window."""
    count = (span.end - span.start) // window
    return count // 2 * window if count > 1 else None
