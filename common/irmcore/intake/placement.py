"""Which rows are new, and the time with which each of them is sent.

A row is skipped if an earlier run accepted it, merged if it equals a row of this run, and refused if none of
its places is free. The result depends on the order of the rows, so one process places all blocks,
in the order in which they were read.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import compress
from typing import NamedTuple

from irmcore.intake.block_shaper import PlannedBlock, Shaped
from irmcore.intake.ledger.day import Day
from irmcore.intake.ledger.hash_index import HashIndex
from irmcore.intake.ledger.index import Ledger
from irmcore.intake.wire_times import Candidates, WireTimes, identities, originals
from irmcore.outbox.rowkeys import IDENTITY, KEY_AT, ORIGINAL, parts
from irmcore.profile import Profile
from irmcore.shaping.batches import Batcher, Lines
from irmcore.shaping.keys import numbers
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.rows import ShapedBlock
from irmcore.shaping.times import canonical


class OutgoingRows(NamedTuple):
    """Rows to send: their identities and original times end to end, event days and CSV lines."""

    identities: bytes
    originals: bytes
    days: Sequence[int]
    lines: Lines


class Placement:
    """Candidates the rows of one run; remembers which (user, time) pairs they take."""

    def __init__(self, profile: Profile, ledger: Ledger | None, times: WireTimes, batcher: Batcher) -> None:
        """Without a ``ledger`` no row was accepted before."""
        self._policy = profile.collisions.policy
        self._skip_changed = profile.on_change == "skip"
        self._ledger = ledger
        self._times = times
        self._batcher = batcher
        self._taken = HashIndex(IDENTITY.size)
        #: The keys of rows that are not at their first place, because another row had taken it.
        self._moved: set[bytes] = set()
        self._precisions: set[int] = set()
        #: Whether rows of several precisions have occurred, and a place depends on it.
        self._several = False
        self.merged = self.skipped = self.changed = 0

    def place(self, planned: PlannedBlock) -> tuple[OutgoingRows, list[Reject]]:
        """The rows of a block to send, and those without a place.

        In nearly every block all rows are new and their first places are free. Only where that is not
        certain are rows placed one by one.
        """
        days, names = planned.days, planned.identities
        keys = numbers(names)[:: IDENTITY.size // 8].tolist()
        doubtful: Iterable[int] = range(len(days))
        ambiguous = self._ambiguous(planned.originals)
        if planned.fits:
            doubtful = self._doubtful(keys, days, names) | ambiguous
            if not doubtful and not self._taken.add_if_new(keys, names):
                return OutgoingRows(names, planned.originals, days, planned.lines()), []
            doubtful |= set(self._taken.known(keys))
        return self._place_each(*planned.details(), sorted(doubtful))

    def _ambiguous(self, found: bytes) -> set[int]:
        """The positions of rows whose equals may be elsewhere, because times of several precisions occur."""
        self._precisions.update(found[ORIGINAL.size - 1 :: ORIGINAL.size])
        self._several = self._times.by_precision and len(self._precisions) > 1
        if not self._several:
            return set()
        return {at for at, (time, _) in enumerate(ORIGINAL.iter_unpack(found)) if time % 1_000 == 0}

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
        days = list(compress(times.days, kept))
        times_of = b"".join(compress(parts(originals(block), ORIGINAL.size), kept))
        return OutgoingRows(names, times_of, days, lines), refused

    def _dropped(
        self, block: ShapedBlock, doubtful: list[int], times: Candidates
    ) -> Iterator[tuple[int, str]]:
        """Place the doubtful rows in order; returns those that are not sent, with ``_place_one``'s code."""
        before: dict[int, bytes] = {}  # the pairs that earlier rows of the block have taken
        keys, passed = times.user_times, 0
        position = {key: at for at, key in enumerate(keys)}  # the last row with that first place
        for at in doubtful:  # grows during the loop
            if passed < at:
                before.update(zip(keys[passed:at], block.keys[passed:at]))
            passed = at + 1
            first = keys[at]
            code = self._place_one(block, at, times, before)
            if code is not None:
                yield at, code
                continue
            before[keys[at]] = block.keys[at]
            if keys[at] != first and position.get(keys[at], 0) > at:
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
        key = block.keys[at]
        day = self._ledger.day(times.days[at]) if self._ledger is not None else None
        if not day:  # none, or nothing was accepted of that date
            day = None
        elif day.has(key):
            self.skipped += 1
            return ""
        holder = self._holder(times.user_times[at], before)
        if key == holder or key in self._moved or (self._several and self._is_elsewhere(block, at, before)):
            self.merged += 1
            return ""
        changed = day is not None and day.has_subject(key)
        if changed and self._skip_changed:
            self.skipped += 1
            self.changed += 1
            return ""
        time: int | None = times.times[at]
        if holder is not None or (day is not None and self._reserved(times.user_times[at], day)):
            time = self._times.free_place(block, at, partial(self._is_taken, before, day))
        if time is None:
            return "no-free-slot" if self._policy == "spread" else "collision"
        if not self._batcher.surely_fits(block.largest) and not self._fits(block, at):
            return "row-too-large"
        self.changed += changed
        if time != times.times[at]:
            self._moved.add(key)
            times.times[at], times.user_times[at] = time, self._times.user_time(block.users[at], time, key)
        return None

    def _holder(self, user_time: int, before: Mapping[int, bytes]) -> bytes | None:
        """The key of the row of this run that has taken the pair."""
        if user_time in before:
            return before[user_time]
        found = self._taken.find(user_time)
        return found[0][KEY_AT:] if found else None

    def _is_elsewhere(self, block: ShapedBlock, at: int, before: Mapping[int, bytes]) -> bool:
        """Whether an equal row has the place that follows from another precision of its time."""
        key, user = block.keys[at], block.users[at]
        pairs = (
            self._times.user_time(user, time, key) for time in self._times.of_equals(block.times[at], key)
        )
        return any(self._holder(pair, before) == key for pair in pairs)

    def _is_taken(self, before: Mapping[int, bytes], day: Day | None, user_time: int) -> bool:
        if self._holder(user_time, before) is not None:
            return True
        return day is not None and self._reserved(user_time, day)

    def _fits(self, block: ShapedBlock, at: int) -> bool:
        fields = [column[at] for column in block.columns]
        if block.time_at is not None:
            fields[block.time_at] = canonical(block.times[at])
        return self._batcher.encode(fields) is not None

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
