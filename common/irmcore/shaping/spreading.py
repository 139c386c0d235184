"""Where a row's time goes, so that no two rows of a user have the same one.

The service keeps one row of each (UPN, time) pair and drops the others silently (Microsoft's page,
"Before running the script"). With `spread` a row's time on the wire is a function of the row alone:
it stays within its second (step 1 µs), minute (1 ms) or hour (1 s), at the place that its key says.
Two rows of one user in one window want the same place with odds of 1 in 1,000,000 (60,000; 3,600);
then the later one takes the next free place. docs/decisions/0002-spreading.md has the alternatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from irmcore.shaping.keys import numbers
from irmcore.shaping.times import canonical

#: step in µs → window in µs. A window never leaves its hour, so a row never leaves its UTC day.
WINDOWS: dict[int, int] = {1: 1_000_000, 1_000: 60_000_000, 1_000_000: 3_600_000_000}


def candidate_times(time: int, key: bytes, step: int) -> Iterator[int]:
    """All times (µs) that the row may take, the one that its key says first. ``step`` in µs."""
    window = WINDOWS[step]
    start = time - time % window
    slots = window // step
    first = (int.from_bytes(key[:8], "big") + int.from_bytes(key[16:], "big")) % slots
    for probe in range(slots):
        yield start + (first + probe) % slots * step


def first_candidates(times: Sequence[int], keys: Sequence[bytes], step: int) -> list[int]:
    """Of each row what ``places`` gives first."""
    window = WINDOWS[step]
    slots = window // step
    parts = numbers(b"".join(keys))
    return [
        time - time % window + (subject + threshold) % slots * step
        for time, subject, threshold in zip(times, parts[::3], parts[2::3])
    ]


def format_times(briefs: Sequence[str], times: Sequence[int], step: int) -> list[str]:
    """The canonical texts of ``times``, which are places of rows whose own times are ``briefs``."""
    if step != 1:
        return list(map(canonical, times))
    # They stay in their seconds, so only what is below changes; one format for all takes half the time.
    below = [time % 1_000_000 for time in times]
    cells = tuple(chain.from_iterable(zip(briefs, below)))
    return ("%.19s.%06d+00:00\n" * len(times) % cells).split("\n")[:-1]
