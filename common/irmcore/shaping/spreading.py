"""Where a row's time goes, so that no two rows of a user have the same one.

The service keeps one row of each (UPN, time) pair and drops the others silently (Microsoft's page,
"Before running the script"). With `spread` a row's time on the wire is a function of the row alone:
it stays within its second (step 1 µs), minute (1 ms) or hour (1 s), at the place that its key says.
Two rows of one user in one window want the same place with odds of 1 in 1,000,000 (60,000; 3,600);
then the later one takes the next free place. docs/decisions/0002-spreading.md has the alternatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

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


class Slots:
    """Names for (user, time) pairs: 64-bit numbers, the same in every process.

    Two pairs share a number with odds of 2^-64; all that follows is a needless step to the next
    free place.
    """

    #: Users that are remembered; then the memory starts anew.
    MEMORY = 100_000

    def __init__(self) -> None:
        self._users: dict[str, int] = {}

    def slot(self, user: str, time: int) -> int:
        """The number of ``user`` (canonical UPN) at ``time`` (µs)."""
        hashed = self._users.get(user)
        if hashed is None:
            if len(self._users) >= self.MEMORY:
                self._users.clear()
            digest = blake2b(user.encode("utf-8"), digest_size=8).digest()
            hashed = self._users[user] = int.from_bytes(digest, "big")
        return (hashed + time * _MIX) & _MASK
