"""Rows in, batches out: which rows are new, where each one's time goes, and which batch it is in.

``aims`` and ``shaping`` say what a row would be, from the row alone: so large inputs are shaped by a crew of
processes. What depends on other rows, of this run and of earlier ones, is settled here, in their order.
"""

from __future__ import annotations

import os
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress, count
from typing import Any, Callable, NamedTuple

from irmcore.counts import Counts
from irmcore.errors import InputError
from irmcore.intake import workers as crew
from irmcore.intake.ledger.hash_index import Records
from irmcore.intake.ledger.index import DAY_MICROSECONDS, Day, Ledger
from irmcore.intake.workers import Crew
from irmcore.outbox.rowkeys import IDENTITY, pack_columns
from irmcore.profile import Profile
from irmcore.shaping.batches import Batcher, Lines
from irmcore.shaping.blocks import BLOCK_ROWS, Block
from irmcore.shaping.collisions import keep_greatest
from irmcore.shaping.keys import UserTimeKeys, numbers
from irmcore.shaping.readers import Reopenable, Table
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.rows import ShapedBlock, ShapedRow, Shaper
from irmcore.shaping.spreading import candidate_times, first_candidates, format_times
from irmcore.shaping.times import canonical

#: How often ``progress`` is told, in rows.
TICK = 2_000

#: Told how many rows have been read so far.
Progress = Callable[[int], None]


class FilledBatch:
    """A batch before it has an id: payload, and what names its rows, which goes with the id into a file."""

    def __init__(self, payload: bytes, names: list[bytes], days: list[int]) -> None:
        self.payload = payload
        self.rows = len(names)
        self._names, self._days = names, days

    def rowkeys(self, batch: bytes) -> bytes:
        return pack_columns(self._names, self._days, batch[:8])


class _Aims(NamedTuple):
    """Where the rows of a block would go: event day, time on the wire (µs) and slot of each."""

    days: list[int]
    wire: list[int]
    slots: list[int]


class _Going(NamedTuple):
    """Rows as they go out: slot and key of each as the ledger packs them, event days, lines."""

    names: bytes
    days: list[int]
    lines: Lines


class _Shaped(NamedTuple):
    """A block as read, its rows as shaped, and the refused ones."""

    source: Block
    block: ShapedBlock
    refused: list[Reject]


class _Done(NamedTuple):
    """What a crew has made of a stretch, if nothing stands in its rows' way; ``look`` shapes it here."""

    read: int
    refused: list[Reject]
    going: _Going
    look: Callable[[], _Shaped]


class _Aimer:
    """What becomes of a block's rows by themselves: the same wherever and whenever it is asked."""

    def __init__(self, profile: Profile, header: Sequence[str], name: str) -> None:
        self._policy, self._step = profile.collisions.policy, profile.collisions.step
        self._shaper = Shaper(profile, header, name=name)
        self._slots = UserTimeKeys()
        self._width = len(header)

    def shaped(self, source: Block) -> _Shaped:
        block, refusals = self._shaper.shape_block(source)
        refused = [Reject(row.line, "", row.refused or "", row.values) for row in source.refused]
        refused += [self.reject(source, at, why.column, why.code) for at, why in refusals]
        return _Shaped(source, block, refused)

    def reject(self, source: Block, at: int, column: str, code: str) -> Reject:
        return Reject(source.lines[at], column, code, tuple(source.rows[at][: self._width]))

    def aims(self, block: ShapedBlock) -> _Aims:
        """The first place of each row."""
        days = [time // DAY_MICROSECONDS for time in block.times]
        spread = self._policy == "spread"
        wire = first_candidates(block.times, block.keys, self._step) if spread else list(block.times)
        return _Aims(days, wire, self._slots.keys(block.users, wire))

    def names(self, block: ShapedBlock, aims: _Aims) -> bytes:
        return b"".join(map(IDENTITY.pack, aims.slots, block.keys))

    def going(self, block: ShapedBlock, aims: _Aims, names: bytes) -> _Going:
        """All rows of a block at their places."""
        return _Going(names, aims.days, Lines.of(self._on_the_wire(block, aims.wire)))

    def going_without(self, block: ShapedBlock, aims: _Aims, dropped: Sequence[int]) -> _Going:
        """The rows of a block, but for some."""
        keep = [True] * len(aims.days)
        for at in dropped:
            keep[at] = False
        columns = [list(compress(column, keep)) for column in self._on_the_wire(block, aims.wire)]
        names = compress(map(IDENTITY.pack, aims.slots, block.keys), keep)
        return _Going(b"".join(names), list(compress(aims.days, keep)), Lines.of(columns))

    def _on_the_wire(self, block: ShapedBlock, wire: list[int]) -> list[Sequence[str]]:
        if self._policy != "spread":
            return block.whole_columns()
        columns = list(block.columns)
        columns[block.time_at] = format_times(columns[block.time_at], wire, self._step)
        return columns

    def slot(self, user: str, time: int) -> int:
        return self._slots.key(user, time)

    def candidate_times(self, time: int, key: bytes) -> Iterable[int]:
        """The times (µs) that the policy lets a row take."""
        return candidate_times(time, key, self._step) if self._policy == "spread" else (time,)


class Pipeline:
    """Rows in, batches out, with what each row's end was. Used once."""

    def __init__(self, profile: Profile, known: Ledger | None, members: int | None = None) -> None:
        """``members`` of a crew that shapes, where the input allows one; None: as many as are worth it."""
        self._profile = profile
        self._known = known
        self._members = members
        self._batcher = Batcher(profile)
        self._taken = Records(IDENTITY.size)
        self._names: list[bytes] = []  # of the rows of the batch that is being filled
        self._days: list[int] = []
        self._read = self._merged = self._skipped = self._shaped = self._rejected = 0
        self.changed = 0
        self.reasons: Counter[tuple[str, str]] = Counter()

    def counts(self) -> Counts:
        return Counts(self._read, self._shaped, self._merged, self._skipped, self._rejected)

    def batches(
        self,
        table: Table,
        name: str,
        progress: Progress | None = None,
        on_reject: Callable[[Reject, tuple[str, ...]], None] | None = None,
        on_row: Callable[[tuple[str, ...]], None] | None = None,
    ) -> Iterator[FilledBatch]:
        """The batches of ``table``, each as soon as it is full. Raises InputError."""
        self._name, self._header = name, table.header
        self._on_reject, self._progress = on_reject, progress
        self._aimer = _Aimer(self._profile, table.header, name)
        for each in self._blocks(table):
            refused = each.refused
            going = self._placed(each, refused)
            self._refuse(refused)
            if on_row is not None:
                for fields in going.lines.rows():
                    on_row(fields)
            yield from self._fill(going)
        if len(self._batcher):
            yield self._take()

    # -- shaping, here or by a crew -----------------------------------------------------------

    def _blocks(self, table: Table) -> Iterator[_Shaped | _Done]:
        if self._profile.collisions.policy == "keep-greatest":
            yield from self._greatest(map(self._shape, table.blocks()))
            return
        again = table.reopenable
        members = 0
        if again is not None:
            members = crew.members(again.size) if self._members is None else self._members
        if again is None or not members:
            yield from map(self._shape, table.blocks())
            return
        before = _stamp(again)
        with Crew(members, lambda number: self._member(again, members, number), again.file) as mates:
            yield from self._gathered(mates, again)
        if _stamp(again) != before:
            raise InputError(
                "the file was changed while it was read",
                where=self._name,
                next_step="Run this again when nobody writes to it; nothing was accepted.",
            )

    def _shape(self, source: Block) -> _Shaped:
        self._tell(len(source))
        return self._aimer.shaped(source)

    def _tell(self, rows: int) -> None:
        before, self._read = self._read, self._read + rows
        if self._progress is not None:
            for told in range(before // TICK + 1, self._read // TICK + 1):
                self._progress(told * TICK)

    def _member(self, again: Reopenable, members: int, number: int) -> Iterator[Any]:
        """What a member of a crew does; () for a stretch whose rows must be looked at one by one."""
        chunks = again.walk(lambda at: at % members == number)
        for source in (found for at, found in enumerate(chunks) if at % members == number):
            shaped = self._aimer.shaped(source) if isinstance(source, Block) else None
            if shaped is None or not self._batcher.surely_fits(shaped.block.largest):
                yield ()
                continue
            aims = self._aimer.aims(shaped.block)
            going = self._aimer.going(shaped.block, aims, self._aimer.names(shaped.block, aims))
            refused = list(map(tuple, shaped.refused))
            yield len(shaped.source), refused, going.names, going.days, going.lines.text, going.lines.ends

    def _gathered(self, mates: Crew, again: Reopenable) -> Iterator[_Shaped | _Done]:
        """The stretches of a crew in their order; what no member gives is shaped here."""
        walk = _Walk(again)
        for number in count():
            try:
                found = mates.take(number)
            except crew.Lost:
                source = walk.block(number)
                if source is None:
                    return
                found = ()
            if found is None:
                return
            if not found:
                yield self._shape(walk.found(number))
                continue
            read, refused, names, days, text, ends = found
            self._tell(read)
            going = _Going(names, days, Lines(text, ends))

            def look(number: int = number) -> _Shaped:
                return self._aimer.shaped(walk.found(number))

            yield _Done(read, [Reject(*each) for each in refused], going, look)

    def _greatest(self, blocks: Iterator[_Shaped]) -> Iterator[_Shaped]:
        roles = [column.role for column in self._profile.columns]
        threshold, time_at = roles.index("threshold"), roles.index("time")

        def rows() -> Iterator[tuple[int, tuple[str, ...], ShapedRow]]:
            for source, block, refused in blocks:
                self._refuse(refused)
                for number, row in zip(block.positions, block.rows()):
                    yield source.lines[number], tuple(source.rows[number]), row

        kept, merged = keep_greatest(rows(), threshold)
        self._merged += merged
        for start in range(0, len(kept), BLOCK_ROWS):
            lines, values, shaped = zip(*kept[start : start + BLOCK_ROWS])
            yield _Shaped(Block(values, lines), ShapedBlock.of(shaped, time_at), [])

    def _refuse(self, refused: list[Reject]) -> None:
        """Count and tell refused rows, in the order they stood."""
        self._rejected += len(refused)
        for reject in sorted(refused, key=_line_of):
            self.reasons[reject.column, reject.code] += 1
            if self._on_reject is not None:
                self._on_reject(reject, self._header)

    # -- which rows are new, and where they go ----------------------------------------------

    def _placed(self, each: _Shaped | _Done, refused: list[Reject]) -> _Going:
        """The rows of a block that are to be sent; those without a place are added to ``refused``.

        Nearly always all are new and find their places free; else they are looked at one by one.
        """
        if isinstance(each, _Done):
            names, days, _ = going = each.going
            slots = numbers(names)[:: IDENTITY.size // 8].tolist()
            if not self._suspects(slots, days, names) and not self._taken.add_if_new(slots, names):
                return going
            each = each.look()
        source, block, _ = each
        aims = self._aimer.aims(block)
        names = self._aimer.names(block, aims)
        suspects: Iterable[int] = range(len(aims.days))
        if self._batcher.surely_fits(block.largest):
            suspects = self._suspects(aims.slots, aims.days, names)
            if not suspects and not self._taken.add_if_new(aims.slots, names):
                return self._aimer.going(block, aims, names)
            suspects = {*suspects, *self._taken.known(aims.slots)}
        dropped: list[int] = []
        for at, code in self._settled(block, sorted(suspects), aims):
            dropped.append(at)
            if code:
                refused.append(self._aimer.reject(source, block.positions[at], "", code))
        going = self._aimer.going_without(block, aims, dropped)
        gone = set(dropped)
        self._taken.add([slot for at, slot in enumerate(aims.slots) if at not in gone], going.names)
        return going

    def _suspects(self, slots: list[int], days: list[int], names: bytes) -> set[int]:
        """The positions of rows that may have been accepted, or changed, or meet the slot of one that was.

        And of rows that meet each other.
        """
        found = set(_repeats(slots)) if len(set(slots)) < len(slots) else set()
        for number in set(days) if self._known is not None else ():
            if self._known is not None and self._known.has(number):
                at = [position for position, other in enumerate(days) if other == number]
                keys = [names[a * IDENTITY.size + 8 : (a + 1) * IDENTITY.size] for a in at]
                found.update(at[a] for a in self._known.day(number).known(keys, [slots[a] for a in at]))
        return found

    def _settled(self, block: ShapedBlock, suspects: list[int], aims: _Aims) -> Iterator[tuple[int, str]]:
        """Settle the suspects in their order; gives those that do not go out, and why (see ``_settle``)."""
        before: dict[int, bytes] = {}  # what the rows before have taken, of this block
        slots, passed = aims.slots, 0
        for at in suspects:  # grows while it is walked
            before.update(zip(slots[passed:at], block.keys[passed:at]))
            passed = at + 1
            first = slots[at]
            code = self._settle(block, at, aims, before)
            if code is not None:
                yield at, code
                continue
            before[slots[at]] = block.keys[at]
            if slots[at] != first and slots[at] in slots[passed:]:
                # It took the place that a row behind it would have found free.
                other = slots.index(slots[at], passed)
                if other not in suspects:
                    insort(suspects, other)

    def _settle(self, block: ShapedBlock, at: int, aims: _Aims, before: Mapping[int, bytes]) -> str | None:
        """The end of one row: None if it goes out, with its place written down; else why it is refused.

        "" for a row that is merged or skipped.
        """
        key, user = block.keys[at], block.users[at]
        day = self._known.day(aims.days[at]) if self._known is not None else None
        if day is not None and day.has(key):
            self._skipped += 1
            return ""
        placed = None
        for time in self._aimer.candidate_times(block.times[at], key):
            slot = self._aimer.slot(user, time)
            holders = self._holders(slot, before)
            if not holders and (day is None or not self._respected(slot, day)):
                placed = time, slot
                break
            if key in holders:
                # A row takes the first free time, so an equal one meets it before any free one.
                self._merged += 1
                return ""
        changed = day is not None and day.has_subject(key)
        if changed and self._profile.on_change == "skip":
            self._skipped += 1
            self.changed += 1
            return ""
        if placed is None:
            return "no-free-slot" if self._profile.collisions.policy == "spread" else "collision"
        if not self._batcher.surely_fits(block.largest) and not self._fits(block, at):
            return "row-too-large"
        self.changed += changed
        aims.wire[at], aims.slots[at] = placed
        return None

    def _fits(self, block: ShapedBlock, at: int) -> bool:
        fields = [column[at] for column in block.columns]
        fields[block.time_at] = canonical(block.times[at])
        return self._batcher.encode(fields) is not None

    def _holders(self, slot: int, before: Mapping[int, bytes]) -> list[bytes]:
        """The keys of rows of this run that have the slot: one, or none."""
        found = [record[8:] for record in self._taken.find(slot)]
        return [*found, before[slot]] if slot in before else found

    def _respected(self, slot: int, day: Day) -> bool:
        """Whether an accepted row keeps its slot; with keep-greatest a later run's takes its place."""
        return self._profile.collisions.policy != "keep-greatest" and day.has_slot(slot)

    # -- batches ------------------------------------------------------------------------

    def _fill(self, rows: _Going) -> Iterator[FilledBatch]:
        total, size = len(rows.days), IDENTITY.size
        self._shaped += total
        names = [rows.names[at : at + size] for at in range(0, total * size, size)]
        start = 0
        while start < total:
            end = self._batcher.fill(rows.lines, start)
            self._names += names[start:end]
            self._days += rows.days[start:end]
            start = end
            if start < total:
                yield self._take()

    def _take(self) -> FilledBatch:
        filled = FilledBatch(self._batcher.take(), self._names, self._days)
        self._names, self._days = [], []
        return filled


class _Walk:
    """An input's stretches, of which one is wanted now and then, in their order."""

    def __init__(self, again: Reopenable) -> None:
        self._wanted = -1
        self._stretches = enumerate(again.walk(lambda at: at == self._wanted))
        self._last: tuple[int, Block | int] = (-1, 0)

    def block(self, number: int) -> Block | None:
        """The stretch of that number, or a later one than the last; None behind the end."""
        self._wanted = number
        while self._last[0] < number:
            found = next(self._stretches, None)
            if found is None:
                return None
            self._last = found
        return self._last[1] if isinstance(self._last[1], Block) else None

    def found(self, number: int) -> Block:
        """The same of a stretch that there is."""
        block = self.block(number)
        if block is None:
            raise RuntimeError("the input has changed while it was read")
        return block


def _stamp(again: Reopenable) -> tuple[int, int]:
    """What changes when somebody writes to the input."""
    found = os.fstat(again.file)
    return found.st_size, found.st_mtime_ns


def _repeats(slots: Sequence[int]) -> Iterator[int]:
    """The positions of slots that stand further before."""
    seen: set[int] = set()
    for at, slot in enumerate(slots):
        if slot in seen:
            yield at
        seen.add(slot)


def _line_of(reject: Reject) -> int:
    return reject.line
