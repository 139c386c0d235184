"""Spread the times of rows so that no two rows of a user have the same one.

The service keeps one row of each (UPN, time) pair and drops the others silently (Microsoft's page,
"Before running the script"). With `collisions: spread`, a row's key chooses a place in a *window* around the
row's time, a place being a time on the wire. So the place depends on the row alone, unless another row of
that user has taken it: then it is the next free one. docs/decisions/0002-spreading.md has the odds, the
distances and the alternatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Callable

from irmcore.shaping.keys import numbers
from irmcore.shaping.times import MICROSECONDS, MILLISECONDS, SECONDS, canonical

#: step in µs → window in µs. A window never leaves its hour, so a row never leaves its UTC day.
WINDOWS: dict[int, int] = {1: 1_000_000, 1_000: 60_000_000, 1_000_000: 3_600_000_000}
#: The windows of a row that keeps its precision, and has a step of 1 µs. The next one counts once the one
#: before has no free place. The first window of a time in microseconds is that time.
_WINDOWS_OF_PRECISION: dict[int, tuple[int, ...]] = {
    SECONDS: (1_000_000,),
    MILLISECONDS: (1_000, 1_000_000),
    MICROSECONDS: (1, 1_000, 1_000_000),
}


def windows_of(step: int, precision: int) -> tuple[int, ...]:
    """The windows (µs) of a row, in order. ``precision`` is that of ``times``; 0 if it is not to be kept."""
    return _WINDOWS_OF_PRECISION[precision] if precision and step == 1 else (WINDOWS[step],)


def precisions_of(time: int) -> tuple[int, ...]:
    """The precisions in which a time (µs) can be written."""
    if time % 1_000:
        return (MICROSECONDS,)
    return (MILLISECONDS, MICROSECONDS) if time % 1_000_000 else (SECONDS, MILLISECONDS, MICROSECONDS)


def first_place(time: int, key: bytes, step: int, window: int) -> int:
    """The place (µs) that the row's key chooses in a window."""
    return time - time % window + _chosen(key) % (window // step) * step


def first_places(times: Sequence[int], keys: Sequence[bytes], step: int, precisions: bytes) -> list[int]:
    """The place that each row takes unless it is taken. A precision is 0 if it is not to be kept."""
    first = {precision: windows_of(step, precision)[0] for precision in set(precisions)}
    parts = numbers(b"".join(keys))
    if len(first) == 1:
        (window,) = first.values()
        count = window // step
        return [
            time - time % window + (subject + threshold) % count * step
            for time, subject, threshold in zip(times, parts[::3], parts[2::3])
        ]
    return [
        time - time % window + (subject + threshold) % (window // step) * step
        for time, subject, threshold, window in zip(
            times, parts[::3], parts[2::3], map(first.__getitem__, precisions)
        )
    ]


class FreePlaces:
    """Finds places among those that rows have taken.

    A place that was found taken is not tried again: it leads to the next one. So a row of a crowded window,
    or of a full one, costs about what others cost, and some 100 bytes for each place found taken.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        #: By size of the window: from a taken place (its (user, time) key) the number of places to the next.
        self._onwards: dict[int, dict[int, int]] = {}
        #: Windows without a free place: the user's number and their sum with its start, by size.
        self._full: set[tuple[int, int]] = set()

    def find(
        self, time: int, key: bytes, user: int, windows: Iterable[int], taken: Callable[[int], bool]
    ) -> int | None:
        """A free place (µs) in the first of the ``windows`` that has one; None if none has.

        ``user`` is the user's number; ``taken`` says of a (user, time) key, their sum, whether a row has it.
        """
        for window in windows:
            start, count = time - time % window, window // self._step
            if (user + start, count) in self._full:
                continue
            found = self._next_free(user + start, _chosen(key) % count, count, taken)
            if found is not None:
                return start + found * self._step
            self._full.add((user + start, count))
        return None

    def _next_free(self, start: int, first: int, count: int, taken: Callable[[int], bool]) -> int | None:
        onwards = self._onwards.setdefault(count, {})
        passed: list[tuple[int, int]] = []
        tried = 0
        while tried < count:
            pair = start + (first + tried) % count * self._step
            distance = onwards.get(pair)
            if distance is None:
                if not taken(pair):
                    break
                distance = 1
            passed.append((pair, tried))
            tried += distance
        for pair, at in passed:
            onwards[pair] = tried - at
        return (first + tried) % count if tried < count else None


def _chosen(key: bytes) -> int:
    return int.from_bytes(key[:8], "big") + int.from_bytes(key[16:], "big")


def format_times(briefs: Sequence[str], times: Sequence[int], step: int) -> list[str]:
    """The canonical texts of ``times``, places of rows with the brief times ``briefs``."""
    if step != 1:
        return list(map(canonical, times))
    # Only the part below the second differs. One format operation for all rows takes half the time.
    below = [time % 1_000_000 for time in times]
    cells = tuple(chain.from_iterable(zip(briefs, below)))
    return ("%.19s.%06d+00:00\n" * len(times) % cells).split("\n")[:-1]
