"""Spread the times of rows so that no two rows of a user have the same one.

The service keeps one row of each (UPN, time) pair and drops the others silently (Microsoft's page,
"Before running the script"). With `collisions: spread`, a row's time on the wire depends on that row
alone: its key chooses a time within its second (step 1 µs), minute (1 ms) or hour (1 s). Two rows of
one user in one window choose the same time with odds of 1 in 1,000,000 (60,000; 3,600); the later row
then takes the next free time. docs/decisions/0002-spreading.md has the alternatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from irmcore.shaping.keys import numbers
from irmcore.shaping.times import canonical

#: step in µs → window in µs. A window never leaves its hour, so a row never leaves its UTC day.
WINDOWS: dict[int, int] = {1: 1_000_000, 1_000: 60_000_000, 1_000_000: 3_600_000_000}


def candidate_times(time: int, key: bytes, step: int) -> Iterator[int]:
    """All times (µs) that a row may take, beginning with the one that its key chooses. ``step`` is in µs."""
    window = WINDOWS[step]
    start = time - time % window
    steps = window // step
    first = (int.from_bytes(key[:8], "big") + int.from_bytes(key[16:], "big")) % steps
    for probe in range(steps):
        yield start + (first + probe) % steps * step


def first_candidates(times: Sequence[int], keys: Sequence[bytes], step: int) -> list[int]:
    """The first candidate time (µs) of each row."""
    window = WINDOWS[step]
    steps = window // step
    parts = numbers(b"".join(keys))
    return [
        time - time % window + (subject + threshold) % steps * step
        for time, subject, threshold in zip(times, parts[::3], parts[2::3])
    ]


def format_times(briefs: Sequence[str], times: Sequence[int], step: int) -> list[str]:
    """The canonical texts of ``times``, candidates of rows with the brief times ``briefs``."""
    if step != 1:
        return list(map(canonical, times))
    # Only the part below the second differs. One format operation for all rows takes half the time.
    below = [time % 1_000_000 for time in times]
    cells = tuple(chain.from_iterable(zip(briefs, below)))
    return ("%.19s.%06d+00:00\n" * len(times) % cells).split("\n")[:-1]
