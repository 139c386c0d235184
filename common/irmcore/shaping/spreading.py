"""Where a row's time goes, so that no two rows of a user have the same one.

The service keeps one row of each (UPN, time) pair and drops the others silently (Microsoft's page,
"Before running the script"). With `spread` a row's time on the wire is a function of the row alone:
it stays within its second (step 1 µs), minute (1 ms) or hour (1 s), at the place that its key says.
Two rows of one user in one window want the same place with odds of 1 in 1,000,000 (60,000; 3,600);
then the later one takes the next free place. docs/decisions/0002-spreading.md has the alternatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import chain
from operator import add

from irmcore.intake.ledger.hash_index import numbers
from irmcore.shaping import columns
from irmcore.shaping.columns import Memo
from irmcore.shaping.times import canonical

#: step in µs → window in µs. A window never leaves its hour, so a row never leaves its UTC day.
WINDOWS: dict[int, int] = {1: 1_000_000, 1_000: 60_000_000, 1_000_000: 3_600_000_000}


def places(time: int, key: bytes, step: int) -> Iterator[int]:
    """All times (µs) that the row may take, the one that its key says first. ``step`` in µs."""
    window = WINDOWS[step]
    start = time - time % window
    slots = window // step
    first = (int.from_bytes(key[:8], "big") + int.from_bytes(key[16:], "big")) % slots
    for probe in range(slots):
        yield start + (first + probe) % slots * step


def first_places(times: Sequence[int], keys: Sequence[bytes], step: int) -> list[int]:
    """Of each row what ``places`` gives first."""
    window = WINDOWS[step]
    slots = window // step
    parts = numbers(b"".join(keys))
    return [
        time - time % window + (subject + threshold) % slots * step
        for time, subject, threshold in zip(times, parts[::3], parts[2::3])
    ]


def written(briefs: Sequence[str], times: Sequence[int], step: int) -> list[str]:
    """The canonical texts of ``times``, which are places of rows whose own times are ``briefs``."""
    if step != 1:
        return list(map(canonical, times))
    # They stay in their seconds, so only what is below changes; one format for all takes half the time.
    below = [time % 1_000_000 for time in times]
    cells = tuple(chain.from_iterable(zip(briefs, below)))
    return ("%.19s.%06d+00:00\n" * len(times) % cells).split("\n")[:-1]


class Slots:
    """Names for (user, time) pairs: 64-bit numbers, the same in every process.

    A user's number and the time, added. Two pairs share a name with odds of 2^-63; all that follows is a
    needless step to the next free place.
    """

    #: Users that are remembered; then the memory starts anew.
    MEMORY = columns.MEMORY

    def __init__(self) -> None:
        self._users: Memo[int] = Memo(_number)

    def slot(self, user: str, time: int) -> int:
        """The number of ``user`` (canonical UPN) at ``time`` (µs)."""
        return self._users[user] + time

    def slots(self, users: Sequence[str], times: Sequence[int]) -> list[int]:
        """The number of each pair."""
        return list(map(add, map(self._users.__getitem__, users), times))


def _number(user: str) -> int:
    """63 bits, so that with a time, which has fewer than 58, there are no more than 64."""
    return int.from_bytes(blake2b(user.encode("utf-8"), digest_size=8).digest(), "big") >> 1
