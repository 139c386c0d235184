"""Where a row's time goes, so that no two rows of a user have the same one.

The service keeps one row of each (UPN, time) pair and drops the others silently (Microsoft's page,
"Before running the script"). With `spread` a row's time on the wire is a function of the row alone:
it stays within its second (step 1 µs), minute (1 ms) or hour (1 s), at the place that its key says.
Two rows of one user in one window want the same place with odds of 1 in 1,000,000 (60,000; 3,600);
then the later one takes the next free place. docs/decisions/0002-spreading.md has the alternatives.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from irmcore.shaping import columns
from irmcore.shaping.columns import Memo
from irmcore.shaping.times import canonical

#: step in µs → window in µs. A window never leaves its hour, so a row never leaves its UTC day.
WINDOWS: dict[int, int] = {1: 1_000_000, 1_000: 60_000_000, 1_000_000: 3_600_000_000}

_MASK = (1 << 64) - 1
#: An odd constant (2^64 / golden ratio) that keeps the slots of one user apart.
_MIX = 0x9E3779B97F4A7C15


def places(time: int, key: bytes, step: int) -> Iterator[int]:
    """All times (µs) that the row may take, the one that its key says first. ``step`` in µs."""
    window = WINDOWS[step]
    start = time - time % window
    slots = window // step
    first = int.from_bytes(key[:8], "big") % slots
    for probe in range(slots):
        yield start + (first + probe) % slots * step


def first_places(times: Sequence[int], keys: Sequence[bytes], step: int) -> list[int]:
    """Of each row what ``places`` gives first."""
    window = WINDOWS[step]
    slots = window // step
    seeds = struct.unpack(">" + "Q8x" * len(keys), b"".join(keys))
    return [time - time % window + seed % slots * step for time, seed in zip(times, seeds)]


def written(texts: Sequence[str], times: Sequence[int], step: int) -> list[str]:
    """The canonical texts of ``times``, which are places of rows whose own times are ``texts``."""
    if step == 1:  # they stay in their seconds, so only what is below changes
        # An f-string takes a quarter more.
        return ["%s%06d+00:00" % (text[:20], time % 1_000_000) for text, time in zip(texts, times)]  # noqa: UP031
    return list(map(canonical, times))


class Slots:
    """Names for (user, time) pairs: 64-bit numbers, the same in every process.

    Two pairs share a number with odds of 2^-64; all that follows is a needless step to the next
    free place.
    """

    #: Users that are remembered; then the memory starts anew.
    MEMORY = columns.MEMORY

    def __init__(self) -> None:
        self._users: Memo[int] = Memo(_hashed)

    def slot(self, user: str, time: int) -> int:
        """The number of ``user`` (canonical UPN) at ``time`` (µs)."""
        return (self._users[user] + time * _MIX) & _MASK

    def slots(self, users: Sequence[str], times: Sequence[int]) -> list[int]:
        """The number of each pair."""
        hashes = map(self._users.__getitem__, users)
        return [(hashed + time * _MIX) & _MASK for hashed, time in zip(hashes, times)]


def _hashed(user: str) -> int:
    return int.from_bytes(blake2b(user.encode("utf-8"), digest_size=8).digest(), "big")
