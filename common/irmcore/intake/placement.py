"""Which rows are new, and the time with which each of them is sent.

A row is skipped if an earlier run accepted it, merged if it equals a row of this run, and refused if none of
its candidate times is free. The result depends on the order of the rows, so one process places all blocks,
in the order in which they were read.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import NamedTuple

from irmcore.intake.block_shaper import PlannedBlock, Shaped
from irmcore.intake.ledger.day import Day
from irmcore.intake.ledger.hash_index import HashIndex
from irmcore.intake.ledger.index import Ledger
from irmcore.intake.wire_times import Candidates, WireTimes, identities
from irmcore.outbox.rowkeys import IDENTITY, KEY_AT
from irmcore.profile import Profile
from irmcore.shaping.batches import Batcher, Lines
from irmcore.shaping.keys import numbers
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.rows import ShapedBlock
from irmcore.shaping.times import canonical


class OutgoingRows(NamedTuple):
    """Rows to send: their identities end to end, event days and CSV lines."""

    identities: bytes
    days: Sequence[int]
    lines: Lines


class Placement:
    """Places the rows of one run; remembers which (user, time) pairs they take."""

    def __init__(self, profile: Profile, ledger: Ledger | None, times: WireTimes, batcher: Batcher) -> None:
        """Without a ``ledger`` no row was accepted before."""
        self._policy = profile.collisions.policy
        self._skip_changed = profile.on_change == "skip"
        self._ledger = ledger
        self._times = times
        self._batcher = batcher
        self._taken = HashIndex(IDENTITY.size)
        self.merged = self.skipped = self.changed = 0

    def place(self, planned: PlannedBlock) -> tuple[OutgoingRows, list[Reject]]:
        """The rows of a block to send, and those without a place.

        In nearly every block all rows are new and their first times are free. Only where that is not
        certain are rows placed one by one.
        """
        days, names = planned.days, planned.identities
        keys = numbers(names)[:: IDENTITY.size // 8].tolist()
        doubtful: Iterable[int] = range(len(days))
        if planned.fits:
            doubtful = self._doubtful(keys, days, names)
            if not doubtful and not self._taken.add_if_new(keys, names):
                return OutgoingRows(names, days, planned.lines()), []
            doubtful = {*doubtful, *self._taken.known(keys)}
        return self._place_each(*planned.details(), sorted(doubtful))

    def _doubtful(self, keys: list[int], days: Sequence[int], names: bytes) -> set[int]:
        """The positions of rows that an earlier run may have accepted, in this or another form,
        or whose (user, time) pair is taken by one of its rows or by an earlier row of the block.
        """
        found = set(_repeats(keys)) if len(set(keys)) < len(keys) else set()
        if self._ledger is None:
            return found
        for day in filter(self._ledger.has, set(days)):
            at = [position for position, other in enumerate(days) if other == day]
            row_keys = [names[a * IDENTITY.size + KEY_AT : (a + 1) * IDENTITY.size] for a in at]
            found.update(at[a] for a in self._ledger.day(day).known(row_keys, [keys[a] for a in at]))
        return found

    def _place_each(
        self, shaped: Shaped, times: Candidates, doubtful: list[int]
    ) -> tuple[OutgoingRows, list[Reject]]:
        block, refused = shaped.block, []
        kept = [True] * len(times.days)
        for at, code in self._dropped(block, doubtful, times):
            kept[at] = False
            if code:
                refused.append(shaped.reject(block.positions[at], "", code))
        user_times = list(compress(times.user_times, kept))
        names = b"".join(identities(user_times, compress(block.keys, kept)))
        self._taken.add(user_times, names)
        lines = self._times.lines(block, times.times, kept)
        return OutgoingRows(names, list(compress(times.days, kept)), lines), refused

    def _dropped(
        self, block: ShapedBlock, doubtful: list[int], times: Candidates
    ) -> Iterator[tuple[int, str]]:
        """Place the doubtful rows in order; returns those that are not sent, with ``_place_one``'s code."""
        before: dict[int, bytes] = {}  # the pairs that earlier rows of the block have taken
        keys, passed = times.user_times, 0
        for at in doubtful:  # grows during the loop
            before.update(zip(keys[passed:at], block.keys[passed:at]))
            passed = at + 1
            first = keys[at]
            code = self._place_one(block, at, times, before)
            if code is not None:
                yield at, code
                continue
            before[keys[at]] = block.keys[at]
            if keys[at] != first and keys[at] in keys[passed:]:
                # This row took the time that a later row of the block would have found free.
                other = keys.index(keys[at], passed)
                if other not in doubtful:
                    insort(doubtful, other)

    def _place_one(
        self, block: ShapedBlock, at: int, times: Candidates, before: Mapping[int, bytes]
    ) -> str | None:
        """Enter the row's time and key into ``times``; None if it is to be sent.

        Otherwise the code of its refusal, which is empty for a row that was merged or skipped.
        """
        key, user = block.keys[at], block.users[at]
        day = self._ledger.day(times.days[at]) if self._ledger is not None else None
        if day is not None and day.has(key):
            self.skipped += 1
            return ""
        place = None
        for time in self._times.of(block.times[at], key):
            user_time = self._times.user_time(user, time, key)
            holders = self._holders(user_time, before)
            if not holders and (day is None or not self._reserved(user_time, day)):
                place = time, user_time
                break
            if key in holders:
                # Equal rows try the same times, so this row meets its equal before it meets a free time.
                self.merged += 1
                return ""
        changed = day is not None and day.has_subject(key)
        if changed and self._skip_changed:
            self.skipped += 1
            self.changed += 1
            return ""
        if place is None:
            return "no-free-slot" if self._policy == "spread" else "collision"
        if not self._batcher.surely_fits(block.largest) and not self._fits(block, at):
            return "row-too-large"
        self.changed += changed
        times.times[at], times.user_times[at] = place
        return None

    def _fits(self, block: ShapedBlock, at: int) -> bool:
        fields = [column[at] for column in block.columns]
        if block.time_at is not None:
            fields[block.time_at] = canonical(block.times[at])
        return self._batcher.encode(fields) is not None

    def _holders(self, user_time: int, before: Mapping[int, bytes]) -> list[bytes]:
        """The keys of this run's rows that have taken the pair: one, or none."""
        found = [name[KEY_AT:] for name in self._taken.find(user_time)]
        return [*found, before[user_time]] if user_time in before else found

    def _reserved(self, user_time: int, day: Day) -> bool:
        """Whether an accepted row holds the pair. With keep-greatest a later run may take it over."""
        return self._policy != "keep-greatest" and day.has_user_time(user_time)


def _repeats(keys: Sequence[int]) -> Iterator[int]:
    """The positions of keys that occur earlier in the sequence."""
    seen: set[int] = set()
    for at, key in enumerate(keys):
        if key in seen:
            yield at
        seen.add(key)
