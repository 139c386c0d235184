"""The times that a profile lets rows take on the wire, and the rows' CSV lines at these times.

What is here follows from the rows themselves, and is the same in every process and for every run; only
``free_place`` depends on which places are taken.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import chain, compress
from typing import Callable, NamedTuple

from irmcore.intake.ledger.day import DAY_MICROSECONDS
from irmcore.outbox.rowkeys import IDENTITY, ORIGINAL
from irmcore.profile import Profile
from irmcore.shaping.batches import Lines
from irmcore.shaping.keys import UserTimeKeys, numbers
from irmcore.shaping.rows import ShapedBlock
from irmcore.shaping.spreading import (
    FreePlaces,
    first_place,
    first_places,
    format_times,
    precisions_of,
    windows_of,
)
from irmcore.shaping.times import whole


class Candidates(NamedTuple):
    """One place for each row of a block: event day, time on the wire (µs), (user, time) key."""

    days: list[int]
    times: list[int]
    user_times: list[int]


class WireTimes:
    """Times on the wire by the collision policy of a profile."""

    def __init__(self, profile: Profile) -> None:
        self._spread = profile.collisions.policy == "spread"
        self._alone = profile.collisions.policy == "none"
        self._step = profile.collisions.step
        #: Whether a row's place depends on the precision of its time.
        self.by_precision = self._spread and self._step == 1 and profile.collisions.keeps_precision
        self._keys = UserTimeKeys()
        self._free = FreePlaces(self._step)

    def first(self, block: ShapedBlock) -> Candidates:
        """The first place of each row."""
        days = [time // DAY_MICROSECONDS for time in block.times]
        times = list(block.times)
        if self._alone:
            return Candidates(days, times, list(map(_number_of, block.keys)))
        if self._spread:
            precisions = block.precisions if self.by_precision else bytes(len(times))
            times = first_places(block.times, block.keys, self._step, precisions)
        return Candidates(days, times, self._keys.keys(block.users, times))

    def of_equals(self, time: int, key: bytes) -> list[int]:
        """The first places of equal rows whose precision is kept: one for each that their time can have."""
        windows = [windows_of(self._step, precision)[0] for precision in precisions_of(time)]
        return [first_place(time, key, self._step, window) for window in windows]

    def free_place(self, block: ShapedBlock, at: int, taken: Callable[[int], bool]) -> int | None:
        """A time for a row whose first place is taken, or None. ``taken`` is asked for (user, time) keys."""
        if not self._spread:
            return None
        time, user = block.times[at], self._keys.key(block.users[at], 0)
        windows = windows_of(self._step, block.precisions[at] if self.by_precision else 0)
        return self._free.find(time, block.keys[at], user, windows, taken)

    def user_time(self, user: str, time: int, key: bytes) -> int:
        """The (user, time) key; without a collision policy, a number that only equal rows share."""
        return _number_of(key) if self._alone else self._keys.key(user, time)

    def lines(self, block: ShapedBlock, times: Sequence[int], kept: Sequence[bool] | None = None) -> Lines:
        """The CSV lines of the rows at these times: of all, or of those that are ``kept``."""
        columns: list[Sequence[str]] = list(block.columns)
        if kept is not None:
            columns = [list(compress(column, kept)) for column in columns]
            times = list(compress(times, kept))
        if block.time_at is not None:
            briefs = columns[block.time_at]
            written = format_times(briefs, times, self._step) if self._spread else whole(briefs)
            columns[block.time_at] = written
        return Lines.of(columns)


def _number_of(key: bytes) -> int:
    subject, rest, details = numbers(key)
    return subject ^ rest ^ details


def identities(user_times: Iterable[int], keys: Iterable[bytes]) -> list[bytes]:
    """What identifies rows in a ``rowkeys`` file, from their (user, time) keys and row keys."""
    return list(map(IDENTITY.pack, user_times, keys))


def originals(block: ShapedBlock) -> bytes:
    """The original time of each row and its precision, as a ``rowkeys`` file has them, end to end."""
    values = chain.from_iterable(zip(block.times, block.precisions))
    return struct.pack(">" + ORIGINAL.format[1:] * len(block.times), *values)
