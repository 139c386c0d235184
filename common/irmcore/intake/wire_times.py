"""The times that a profile lets rows take on the wire, and the rows' CSV lines at these times.

Everything here follows from the rows themselves: it is the same in every process and for every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import NamedTuple

from irmcore.intake.ledger.day import DAY_MICROSECONDS
from irmcore.outbox.rowkeys import IDENTITY
from irmcore.profile import Profile
from irmcore.shaping.batches import Lines
from irmcore.shaping.keys import UserTimeKeys, numbers
from irmcore.shaping.rows import ShapedBlock
from irmcore.shaping.spreading import candidate_times, first_candidates, format_times


class Candidates(NamedTuple):
    """One candidate for each row of a block: event day, time on the wire (µs), (user, time) key."""

    days: list[int]
    times: list[int]
    user_times: list[int]


class WireTimes:
    """Times on the wire by the collision policy of a profile."""

    def __init__(self, profile: Profile) -> None:
        self._spread = profile.collisions.policy == "spread"
        self._alone = profile.collisions.policy == "none"
        self._step = profile.collisions.step
        self._keys = UserTimeKeys()

    def first(self, block: ShapedBlock) -> Candidates:
        """The first candidate of each row."""
        days = [time // DAY_MICROSECONDS for time in block.times]
        times = first_candidates(block.times, block.keys, self._step) if self._spread else list(block.times)
        if self._alone:
            return Candidates(days, times, list(map(_number_of, block.keys)))
        return Candidates(days, times, self._keys.keys(block.users, times))

    def of(self, time: int, key: bytes) -> Iterable[int]:
        """All times (µs) that a row may take, in the order in which it tries them."""
        return candidate_times(time, key, self._step) if self._spread else (time,)

    def user_time(self, user: str, time: int, key: bytes) -> int:
        """The (user, time) key; without a collision policy, a number that only equal rows share."""
        return _number_of(key) if self._alone else self._keys.key(user, time)

    def lines(self, block: ShapedBlock, times: Sequence[int], kept: Sequence[bool] | None = None) -> Lines:
        """The CSV lines of the rows at these times: of all, or of those that are ``kept``."""
        columns: list[Sequence[str]]
        if self._spread and block.time_at is not None:
            columns = list(block.columns)
            columns[block.time_at] = format_times(columns[block.time_at], times, self._step)
        else:
            columns = block.whole_columns()
        return Lines.of(columns if kept is None else [list(compress(column, kept)) for column in columns])


def _number_of(key: bytes) -> int:
    subject, rest, details = numbers(key)
    return subject ^ rest ^ details


def identities(user_times: Iterable[int], keys: Iterable[bytes]) -> list[bytes]:
    """What identifies rows in a ``rowkeys`` file, from their (user, time) keys and row keys."""
    return list(map(IDENTITY.pack, user_times, keys))
