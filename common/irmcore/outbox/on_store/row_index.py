"""The index of accepted rows by date, on a store: what a run reads of its dates, however many are kept.

A value has the row keys of one date, of one record of the log or of several in a row, end to end. Its key
says of which. Anyone may write it at any time: it only copies what batches have. The *mark* is the number up
to which all records are entered; what lies behind it is read from the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile
from typing import Callable, NamedTuple

from irmcore.clock import Clock
from irmcore.errors import StoreAway
from irmcore.outbox.on_store import layout, records
from irmcore.store import MAX_VALUE_BYTES, Store, claim, numbered
from irmcore.store.claim import PAUSE, READABLE_SECONDS

#: Values of one date from which on small ones are merged.
COMPACT_AT = 8


class Span(NamedTuple):
    """Which values of records a value has: the first and the last, each as (record, part)."""

    first: tuple[int, int]
    last: tuple[int, int]

    def key(self, date: str) -> str:
        ends = (f"{number:0{numbered.DIGITS}}.{part:04}" for number, part in self)
        return f"{layout.days_prefix(date)}{'-'.join(ends)}"

    @staticmethod
    def of(key: str) -> Span:
        ends = (end.split(".") for end in key.rpartition("/")[2].split("-"))
        first, last = ((int(number), int(part)) for number, part in ends)
        return Span(first, last)


class RowIndex:
    """The index of one outbox. Every method raises StoreAway and StoreRefused."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._marks = numbered.Sequence(store, "indexed/", clock)

    def mark(self) -> int:
        """The number up to which the index has the row keys of all records; -1 if there is none."""
        newest = self._marks.newest()
        return newest.number if newest else -1

    def move_mark(self, number: int) -> None:
        """All records up to ``number`` are entered."""
        self._marks.append(number - 1, records.encode())
        self._marks.prune()

    def add(self, date: str, number: int, values: Sequence[bytes]) -> None:
        """Enter the row keys that record ``number`` has of a date."""
        for part, value in enumerate(_joined(values)):
            claim(self._store, Span((number, part), (number, part)).key(date), value, self._clock)

    def rowkeys(self, date: str, mark: int) -> list[bytes]:
        """The row keys of a date, of all records up to ``mark`` and perhaps more; some may come twice."""
        return [value for _, value in self._read(date, mark)]

    def _read(self, date: str, mark: int) -> list[tuple[Span, bytes]]:
        end = self._clock.monotonic() + READABLE_SECONDS
        while True:
            spans = self._spans(date, mark)
            found = [
                (span, value) for span in spans if (value := self._store.get(span.key(date))) is not None
            ]
            if len(found) == len(spans):
                return found
            # Merged into another one meanwhile, or written by a replica that this one lags behind.
            if self._clock.monotonic() >= end:
                raise StoreAway(
                    f"row keys could not be read for {READABLE_SECONDS:.0f} seconds",
                    where=date,
                    next_step="Nothing is lost. Try again in some minutes.",
                )
            self._clock.sleep(PAUSE)

    def _spans(self, date: str, mark: int) -> list[Span]:
        """The values of a date that begin up to a mark, without those that a wider one contains.

        One that goes further was merged by somebody whose mark is newer.
        """
        found = map(Span.of, self._store.keys(layout.days_prefix(date)))
        kept: list[Span] = []
        for span in sorted(found, key=lambda span: (span.first, (-span.last[0], -span.last[1]))):
            if span.first[0] <= mark and (not kept or span.last > kept[-1].last):
                kept.append(span)
        return kept

    def compact(self, date: str, mark: int) -> None:
        """Merge the newest values of a date, if they are many and small. What a killed one left goes too."""
        spans = self._spans(date, mark)
        if len(spans) >= COMPACT_AT:
            small = list(self._small_ones(date, spans))[::-1]
            if len(small) > 1:
                whole = Span(small[0][0].first, small[-1][0].last)
                claim(self._store, whole.key(date), b"".join(value for _, value in small), self._clock)
        kept = set(self._spans(date, mark))
        for key in list(self._store.keys(layout.days_prefix(date))):
            span = Span.of(key)
            if span.last[0] <= mark and span not in kept:
                self._store.delete(key)

    def _small_ones(self, date: str, spans: Sequence[Span]) -> Iterator[tuple[Span, bytes]]:
        """The newest values that fit into one, the newest first."""
        size = 0
        for span in reversed(spans):
            value = self._store.get(span.key(date))
            if value is None or (size := size + len(value)) > MAX_VALUE_BYTES:
                return
            yield span, value

    def forget(self, before: str, is_old: Callable[[int], bool]) -> set[str]:
        """Remove the dates before one (``yyyy-mm-dd``) whose last record ``is_old``: their rows count as new.

        Returns the dates before ``before`` that stay.
        """
        left: set[str] = set()
        for folder in ("days", "withdrawn"):
            end = f"{folder}/{before}"
            keys = list(takewhile(end.__gt__, self._store.keys(f"{folder}/")))
            for date, values in groupby(keys, key=lambda key: key.split("/")[1]):
                here = list(values)
                if folder == "days" and not is_old(max(Span.of(key).last[0] for key in here)):
                    left.add(date)
                for key in here if date not in left else ():
                    self._store.delete(key)
        return left


def _joined(values: Sequence[bytes]) -> list[bytes]:
    """The values end to end, in as few as a store takes."""
    joined: list[bytes] = []
    for value in values:
        if joined and len(joined[-1]) + len(value) <= MAX_VALUE_BYTES:
            joined[-1] += value
        else:
            joined.append(value)
    return joined
