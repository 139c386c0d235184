"""Read an aggregation from a source, in pieces that the service can answer. One query at a time.

An answer that is truncated or times out is never used. The piece of time is read again in halves, down to one
window, then by parts of its users. A throttled query is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from irmcore.clock import Clock
from irmcore.errors import DataError

from irmsentinel.azure.query_errors import Throttled, TooMuch
from irmsentinel.content.aggregations import Aggregation, Span
from irmsentinel.export import windows
from irmsentinel.kql.result import Result

#: The longest time that one query asks for.
MAX_PIECE = timedelta(days=7)
#: The most parts of its users that one window is split into.
MAX_PARTS = 64
#: How often a throttled query is tried, and how many seconds it may wait in all.
ATTEMPTS = 6
MAX_WAIT_S = 900.0
_FIRST_WAIT_S = 5.0


class Source(Protocol):
    """Where the rows come from: a workspace, or tables on this machine."""

    @property
    def label(self) -> str:
        """A workspace's ID, or a name for a local folder."""

    def query(self, kql: str) -> Result:
        """The result of a query. Raises TooMuch, Throttled or another IrmError."""


class Reader:
    """Reads one aggregation from one source. ``queries`` counts the queries so far."""

    def __init__(self, aggregation: Aggregation, source: Source, clock: Clock) -> None:
        self._aggregation = aggregation
        self._source = source
        self._clock = clock
        self.queries = 0

    def pieces(self, span: Span) -> Iterator[tuple[Span, Iterator[tuple[Result, str]]]]:
        """The span in pieces of time. With each its results, each with its part of the users ("2/4").

        Iterate over a piece's results before the next piece. Raises IrmError.
        """
        length, window = MAX_PIECE, self._aggregation.window
        while span.start < span.end:
            piece = windows.head(span, length)
            try:
                results: Iterator[tuple[Result, str]] = iter([(self._query(piece, 0, 1), "1/1")])
            except TooMuch:
                half = windows.half(piece, window)
                if half is not None:
                    length = half  # for the rest of this run too
                    continue
                results = self._in_parts(piece)
            yield piece, results
            span = replace(span, start=piece.end)

    def _in_parts(self, piece: Span) -> Iterator[tuple[Result, str]]:
        for part in (0, 1):
            yield from self._part(piece, part, 2)

    def _part(self, piece: Span, part: int, parts: int) -> Iterator[tuple[Result, str]]:
        """The results for a part of the users. Its two halves are parts of twice as many."""
        try:
            result = self._query(piece, part, parts)
        except TooMuch:
            if parts * 2 > MAX_PARTS:
                raise DataError(
                    f"one window is too much for the service, even for 1/{parts} of its users",
                    where=f"{self._aggregation.name}, {piece}",
                    next_step="Aggregate it in the workspace by a summary rule: docs/sentinel.md.",
                ) from None
            yield from self._part(piece, part, parts * 2)
            yield from self._part(piece, part + parts, parts * 2)
            return
        yield result, f"{part + 1}/{parts}"

    def _query(self, piece: Span, part: int, parts: int) -> Result:
        """One query, repeated while the service throttles it."""
        kql = self._aggregation.kql(piece, part, parts)
        begin, wait = self._clock.monotonic(), _FIRST_WAIT_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.queries += 1
                return self._source.query(kql)
            except Throttled as throttled:
                pause = wait if throttled.seconds is None else throttled.seconds
                spent = self._clock.monotonic() - begin
                if attempt == ATTEMPTS or spent + pause > MAX_WAIT_S:
                    raise
                self._clock.sleep(pause)
                wait *= 2
        raise AssertionError("unreachable: a query either returned or raised")
