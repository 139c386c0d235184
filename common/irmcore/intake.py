"""Rows → outbox: shape, skip what was accepted before, spread, batch, and accept all or nothing.

A run holds the connector's intake lock, so that two runs never accept the same row. What it
promises: when ``accept`` returns, every row is in a batch that survives a crash, or was merged,
skipped or refused, and the counts say so. When it raises, no row of the run was accepted.
"""

from __future__ import annotations

import errno
import json
import secrets
import time as _time
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import compress
from typing import Any, Callable, NamedTuple

from irmcore import __version__
from irmcore import ledger as ledgers
from irmcore.clock import iso
from irmcore.counts import Counts
from irmcore.disk import Lock
from irmcore.errors import DamageError, IrmError, OutboxBusy, OutboxFull, TooManyRefused
from irmcore.ledger import DAY_MICROSECONDS, NAME, Day, Ledger
from irmcore.outbox import Batch, Box, Destination, Draft, Manifest, Origin, Staging, states
from irmcore.packed import Records
from irmcore.profile import Profile
from irmcore.shaping import rejects
from irmcore.shaping.batches import Batcher
from irmcore.shaping.blocks import BLOCK_ROWS, Block
from irmcore.shaping.collisions import greatest
from irmcore.shaping.readers import Table
from irmcore.shaping.rejects import Reject
from irmcore.shaping.rows import ShapedBlock, ShapedRow, Shaper
from irmcore.shaping.spreading import Slots, first_places, places, written
from irmcore.shaping.times import canonical

CONTENT_TYPE = "text/csv"

#: How often ``progress`` is told, in rows.
TICK = 2_000

#: How long a run waits for another one of the same connector, in seconds.
PATIENCE = 300.0


@dataclass(frozen=True)
class Accepted:
    """What became of a run. ``reasons`` counts refusals by (column, reason code).

    ``batches`` are ids; ``rejects`` is the path of the reject file, if any row was refused. Of a dry
    run, ``run`` and ``batches`` are empty and ``sizes`` says what would have been sent.
    """

    run: str
    batches: tuple[str, ...]
    sizes: tuple[int, ...]
    counts: Counts
    reasons: Mapping[tuple[str, str], int]
    changed: int
    rejects: str | None
    warning: str = ""


#: A block as read, its rows as shaped, and the refused ones.
_Shaped = tuple[Block, ShapedBlock, list[Reject]]

#: Told how many rows have been read so far.
Progress = Callable[[int], None]


def accept(
    table: Table,
    profile: Profile,
    box: Box,
    origin: Origin,
    *,
    where: Destination,
    name: str = "input",
    max_refused: int | None = None,
    progress: Progress | None = None,
    patience: float = PATIENCE,
) -> Accepted:
    """Shape ``table`` and put it into ``box``, which is made if need be.

    Raises InputError, TooManyRefused, OutboxBusy, OutboxFull, UnknownFormat: each before anything
    was accepted.
    """
    try:
        box.create()
        lock = locked(box, patience)
        run = _Run(profile, box, origin, where, max_refused=max_refused, progress=progress)
        try:
            return run.run(table, name)
        except OSError as error:
            raise disk_trouble(error, box.path, in_part=run.accepting) from error
        finally:
            lock.release()
    except OSError as error:
        raise disk_trouble(error, box.path, in_part=False) from error


def rehearse(
    table: Table,
    profile: Profile,
    box: Box | None,
    *,
    name: str = "input",
    on_reject: Callable[[Reject, tuple[str, ...]], None] | None = None,
    on_row: Callable[[tuple[str, ...]], None] | None = None,
    progress: Progress | None = None,
) -> Accepted:
    """Do all that ``accept`` does but write: a dry run. Without a ``box`` nothing counts as sent.

    Raises InputError, and DamageError where ``accept`` would repair the row ledger.
    ``on_row`` is given each row as it would go out, ``on_reject`` each refused one.
    """
    known = Ledger(box.disk, f"{box.path}/ledger") if box is not None and box.exists() else None
    pipeline = Pipeline(profile, known)
    try:
        sizes = [filled.rows for filled in pipeline.batches(table, name, progress, on_reject, on_row)]
    except ledgers.Damaged:
        raise DamageError(
            "a file of the row ledger is damaged, so a dry run cannot tell what is new",
            where=f"{box.path}/ledger" if box is not None else None,
            next_step="Send rows: that makes the ledger anew from the batches.",
        ) from None
    return Accepted("", (), tuple(sizes), pipeline.counts(), dict(pipeline.reasons), pipeline.changed, None)


def locked(box: Box, patience: float = PATIENCE) -> Lock:
    """The intake lock, waited for. Raises OutboxBusy after ``patience`` seconds."""
    end = box.clock.monotonic() + patience
    while True:
        lock = box.intake_lock()
        if lock is not None:
            return lock
        if box.clock.monotonic() >= end:
            raise OutboxBusy(
                "another process is handing rows to this connector",
                where=box.path,
                next_step="Wait until it is done, then run this again; nothing was accepted.",
            )
        box.clock.sleep(0.05)


def disk_trouble(error: OSError, path: str, *, in_part: bool) -> IrmError:
    """An error of the file system as the operator's next step.

    ``in_part``: it came while batches were being accepted, so some may be; rows that are will be
    skipped by the next run.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what, step = "the disk (or its quota) is full", "Free some space and run this again."
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        what, step = (
            "the outbox cannot be written",
            "Give it to the user who runs this (mode 0700).",
        )
    else:
        name = errno.errorcode.get(error.errno or 0, "unknown")
        what, step = (
            f"the disk answered with an error ({name})",
            "Check the disk, then run this again.",
        )
    said = "this run may have been accepted in part" if in_part else "nothing of it was accepted"
    if in_part:
        step += " Rows that were accepted will be skipped."
    return OutboxFull(f"{what}; {said}", where=path, next_step=step)


class Filled:
    """A batch before it has an id: payload, and what names its rows, which goes with the id into a file."""

    def __init__(self, payload: bytes, names: list[bytes], days: list[int]) -> None:
        self.payload = payload
        self.rows = len(names)
        self._names, self._days = names, days

    def rowkeys(self, batch: bytes) -> bytes:
        return ledgers.pack_columns(self._names, self._days, batch[:8])


class _Aims(NamedTuple):
    """Where the rows of a block would go: event day, time on the wire (µs) and slot of each."""

    days: list[int]
    wire: list[int]
    slots: list[int]


class _Placed(NamedTuple):
    """Rows that are to be sent, column by column: ``columns`` are the profile's, as on the wire.

    ``names`` are slot and key as the ledger packs them.
    """

    columns: list[Sequence[str]]
    names: list[bytes]
    days: list[int]

    def without(self, dropped: Sequence[int]) -> _Placed:
        """The rows but those at these positions."""
        keep = [True] * len(self.days)
        for at in dropped:
            keep[at] = False
        columns: list[Sequence[str]] = [list(compress(column, keep)) for column in self.columns]
        kept: list[Any] = [list(compress(values, keep)) for values in self[1:]]
        return _Placed(columns, *kept)


class Pipeline:
    """Rows in, batches out, with what each row's end was. Used once."""

    def __init__(self, profile: Profile, known: Ledger | None) -> None:
        self._profile = profile
        self._known = known
        self._batcher = Batcher(profile)
        self._slots = Slots()
        self._taken = Records(NAME.size)
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
    ) -> Iterator[Filled]:
        """The batches of ``table``, each as soon as it is full. Raises InputError."""
        self._header, self._on_reject = table.header, on_reject
        blocks = self._shaped_blocks(table, Shaper(self._profile, table.header, name=name), progress)
        if self._profile.collisions.policy == "keep-greatest":
            blocks = self._greatest(blocks)
        for source, shaped, refused in blocks:
            placed = self._placed(source, shaped, refused)
            self._refuse(refused)
            if on_row is not None:
                for fields in zip(*placed.columns):
                    on_row(fields)
            yield from self._fill(placed)
        if len(self._batcher):
            yield self._take()

    def _shaped_blocks(self, table: Table, shaper: Shaper, progress: Progress | None) -> Iterator[_Shaped]:
        for source in table.blocks():
            before, self._read = self._read, self._read + len(source)
            if progress is not None:
                for told in range(before // TICK + 1, self._read // TICK + 1):
                    progress(told * TICK)
            block, refusals = shaper.shape_block(source)
            refused = [Reject(row.line, "", row.refused or "", row.values) for row in source.refused]
            refused += [self._reject(source, at, why.column, why.code) for at, why in refusals]
            yield source, block, refused

    def _greatest(self, blocks: Iterator[_Shaped]) -> Iterator[_Shaped]:
        roles = [column.role for column in self._profile.columns]
        threshold, time_at = roles.index("threshold"), roles.index("time")

        def rows() -> Iterator[tuple[int, tuple[str, ...], ShapedRow]]:
            for source, block, refused in blocks:
                self._refuse(refused)
                for number, row in zip(block.positions, block.rows()):
                    yield source.lines[number], tuple(source.rows[number]), row

        kept, merged = greatest(rows(), threshold)
        self._merged += merged
        for start in range(0, len(kept), BLOCK_ROWS):
            lines, values, shaped = zip(*kept[start : start + BLOCK_ROWS])
            yield Block(values, lines), ShapedBlock.of(shaped, time_at), []

    def _refuse(self, refused: list[Reject]) -> None:
        """Count and tell refused rows, in the order they stood."""
        self._rejected += len(refused)
        for reject in sorted(refused, key=_line_of):
            self.reasons[reject.column, reject.code] += 1
            if self._on_reject is not None:
                self._on_reject(reject, self._header)

    def _reject(self, source: Block, at: int, column: str, code: str) -> Reject:
        return Reject(source.lines[at], column, code, tuple(source.rows[at][: len(self._header)]))

    # -- which rows are new, and where they go ----------------------------------------------

    def _placed(self, source: Block, block: ShapedBlock, refused: list[Reject]) -> _Placed:
        """The rows of a block that are to be sent; those without a place are added to ``refused``."""
        policy, step = self._profile.collisions.policy, self._profile.collisions.step
        days = [time // DAY_MICROSECONDS for time in block.times]
        wire = first_places(block.times, block.keys, step) if policy == "spread" else list(block.times)
        slots = self._slots.slots(block.users, wire)
        aims = _Aims(days, wire, slots)
        names = list(map(NAME.pack, slots, block.keys))
        suspects = self._suspects(block, days, slots)
        if not suspects:
            # Nearly always all rows are new and find their places free; else they are looked at one by one.
            suspects = self._taken.add_if_new(slots, b"".join(names))
            if not suspects:
                return _Placed(self._on_the_wire(block, wire), names, days)
        else:
            suspects = sorted({*suspects, *self._taken.known(slots)})
        dropped: list[int] = []
        for at, code in self._settled(block, suspects, aims):
            dropped.append(at)
            if code:
                refused.append(self._reject(source, block.positions[at], "", code))
        names = list(map(NAME.pack, slots, block.keys))
        placed = _Placed(self._on_the_wire(block, wire), names, days).without(dropped)
        kept = set(dropped)
        self._taken.add([slot for at, slot in enumerate(slots) if at not in kept], b"".join(placed.names))
        return placed

    def _on_the_wire(self, block: ShapedBlock, wire: list[int]) -> list[Sequence[str]]:
        """The columns of the rows, which go out with these times."""
        if self._profile.collisions.policy != "spread":
            return block.whole_columns()
        columns = list(block.columns)
        columns[block.time_at] = written(columns[block.time_at], wire, self._profile.collisions.step)
        return columns

    def _suspects(self, block: ShapedBlock, days: list[int], slots: list[int]) -> list[int]:
        """The positions of rows that may have been accepted, or changed, or meet the slot of one that was.

        And of rows that meet each other, and of all rows where one may be too large for a batch.
        """
        if not self._batcher.surely_fits(block.largest):
            return list(range(len(days)))
        found = set(_repeats(slots)) if len(set(slots)) < len(slots) else set()
        for number in set(days) if self._known is not None else ():
            if self._known is not None and self._known.has(number):
                at = [position for position, other in enumerate(days) if other == number]
                keys, named = [block.keys[a] for a in at], [slots[a] for a in at]
                found.update(at[a] for a in self._known.day(number).known(keys, named))
        return list(found)

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
        for time in self._places(block.times[at], key):
            slot = self._slots.slot(user, time)
            holders = self._holders(slot, before)
            if not holders and (day is None or not self._respected(slot, day)):
                placed = time, slot
                break
            if key in holders:
                # A row takes the first free of its places, so an equal one meets it before any free one.
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

    def _places(self, time: int, key: bytes) -> Iterable[int]:
        """The times (µs) that the policy lets a row take."""
        spread = self._profile.collisions.policy == "spread"
        return places(time, key, self._profile.collisions.step) if spread else (time,)

    def _respected(self, slot: int, day: Day) -> bool:
        """Whether an accepted row keeps its slot; with keep-greatest a later run's takes its place."""
        return self._profile.collisions.policy != "keep-greatest" and day.has_slot(slot)

    # -- batches ------------------------------------------------------------------------

    def _fill(self, rows: _Placed) -> Iterator[Filled]:
        self._shaped += len(rows.days)
        start = 0
        while start < len(rows.days):
            end = self._batcher.fill(rows.columns, start)
            self._names += rows.names[start:end]
            self._days += rows.days[start:end]
            start = end
            if start < len(rows.days):
                yield self._take()

    def _take(self) -> Filled:
        filled = Filled(self._batcher.take(), self._names, self._days)
        self._names, self._days = [], []
        return filled


def _repeats(slots: Sequence[int]) -> Iterator[int]:
    """The positions of slots that stand further before."""
    seen: set[int] = set()
    for at, slot in enumerate(slots):
        if slot in seen:
            yield at
        seen.add(slot)


def _line_of(reject: Reject) -> int:
    return reject.line


class _Run:
    """One accepted run, step by step; each step says what is durable after it."""

    def __init__(
        self,
        profile: Profile,
        box: Box,
        origin: Origin,
        where: Destination,
        *,
        max_refused: int | None,
        progress: Progress | None,
    ) -> None:
        self._profile = profile
        self._box = box
        self._origin = origin
        self._where = where
        self._max_refused = max_refused
        self._progress = progress
        self.accepting = False
        self._started = box.clock.now()
        stamp = _time.strftime("%Y%m%dT%H%M%SZ", _time.gmtime(self._started))
        self._id = f"{stamp}-{secrets.token_hex(4)}"

    def run(self, table: Table, name: str) -> Accepted:
        box = self._box
        box.sweep()
        known = open_ledger(box)
        staging = box.stage(self._id)
        try:
            return self._accept(table, name, known, staging)
        finally:
            staging.close()

    def _accept(self, table: Table, name: str, known: Ledger, staging: Staging) -> Accepted:
        pipeline = Pipeline(self._profile, known)
        refused = _RejectFile(staging)
        sizes: list[int] = []
        filled: Filled | None = None
        for filled in pipeline.batches(table, name, self._progress, refused.add):
            draft = Draft(filled.payload, CONTENT_TYPE, self._where, filled.rows, filled.rowkeys)
            staging.add(draft)
            sizes.append(filled.rows)
        counts = pipeline.counts()
        path = refused.keep()
        if self._max_refused is not None and counts.rejected > self._max_refused:
            raise TooManyRefused(
                f"{counts.rejected} of {counts.read} rows were refused, "
                f"more than the {self._max_refused} allowed; nothing was accepted",
                where=path,
                next_step="Correct the rows that the reject file lists, then run this again.",
            )
        reasons, changed = dict(pipeline.reasons), pipeline.changed
        del pipeline, filled  # what a run remembers of its rows goes before the ledger takes its own share
        ids, warning = self._commit(staging, counts, known)
        done = Accepted(self._id, tuple(ids), tuple(sizes), counts, reasons, changed, path, warning)
        return self._recorded(done)

    def _commit(self, staging: Staging, counts: Counts, known: Ledger) -> tuple[list[str], str]:
        names = staging.ids()
        if not names:
            return [], ""
        profile = {"name": self._profile.name, "sha256": self._profile.fingerprint}
        describe = describer(staging, self._origin, profile, counts, at=self._started)
        return names, commit(self._box, staging, known, describe, accepting=self._now_accepting)

    def _now_accepting(self) -> None:
        self.accepting = True

    def _recorded(self, done: Accepted) -> Accepted:
        """``done``, after the run's own record was written: also of runs with nothing new to send."""
        record = {
            "run": self._id,
            "at": iso(self._started),
            "profile": self._profile.name,
            "profile_sha256": self._profile.fingerprint,
            "origin": asdict(self._origin),
            "counts": done.counts.as_dict(),
            "changed": done.changed,
            "reasons": [
                {"column": column, "reason": code, "rows": rows}
                for (column, code), rows in sorted(done.reasons.items())
            ],
            "batches": list(done.batches),
            "rejects": done.rejects,
            "tool": f"irmexport {__version__}",
        }
        target = f"{self._box.path}/runs/{self._id}.json"
        try:
            self._box.disk.create(target, json.dumps(record, indent=1).encode("ascii") + b"\n")
            self._box.disk.sync(target)
            self._box.disk.sync_dir(f"{self._box.path}/runs")
        except OSError as error:
            return replace(done, warning=f"the run's record could not be written ({error.strerror})")
        return done


#: Makes the manifest of a batch: its id, its draft, its number among the run's, the sums of its files.
Describe = Callable[[str, Draft, int, dict[str, Any]], Manifest]


def describer(
    staging: Staging, origin: Origin, profile: Mapping[str, str], counts: Counts, *, at: float
) -> Describe:
    """What writes the manifests of a staged run; ``at`` in seconds since 1970."""
    parts = len(staging.ids())

    def describe(name: str, draft: Draft, part: int, sums: dict[str, Any]) -> Manifest:
        return Manifest(
            id=name,
            destination=draft.destination,
            content_type=draft.content_type,
            rows=draft.rows,
            run=staging.run,
            part=part + 1,
            parts=parts,
            accepted=at,
            origin=origin,
            profile=profile,
            counts=counts,
            tool=f"irmexport {__version__}",
            **sums,
        )

    return describe


def commit(
    box: Box,
    staging: Staging,
    known: Ledger,
    describe: Describe,
    *,
    accepting: Callable[[], None] = lambda: None,
) -> str:
    """Accept all batches of ``staging``, then enter their rows into the ledger; gives a warning, or "".

    ``accepting`` is told when an error can no longer mean that nothing was accepted. The caller holds
    the intake lock. Raises OSError.
    """
    names = staging.ids()
    staging.prepare(describe)
    known.announce(staging.run, names)
    accepting()
    staging.accept()  # from here on the run is accepted, whatever happens
    try:
        known.merge(_accepted(box, name) for name in names)
        known.settle(staging.run)
    except OSError as error:
        # The announcement stands, so the next run merges these batches before it looks.
        return f"the row ledger will be completed by the next run ({error.strerror})"
    except ledgers.Damaged:
        return "the row ledger is damaged and will be made anew by the next run"
    return ""


class _RejectFile:
    """The run's reject file, made with the first refused row."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._lines: list[bytes] = []
        self._any = False

    def add(self, reject: Reject, header: tuple[str, ...]) -> None:
        if not self._any:
            self._lines.append(rejects.header_line())
            self._any = True
        self._lines.append(rejects.line(reject, header))
        if len(self._lines) >= TICK:
            self._flush()

    def _flush(self) -> None:
        if self._lines:
            self._staging.write("rejects.csv", b"".join(self._lines))
            self._lines = []

    def keep(self) -> str | None:
        """Make the file durable and give its path, if there is one."""
        self._flush()
        return self._staging.keep("rejects.csv", "rejects") if self._any else None


def open_ledger(box: Box) -> Ledger:
    """The connector's ledger, with the runs that did not end merged. The caller holds the intake lock."""
    known = _ledger(box)
    if not known.complete():
        return rebuild(box)
    announced = known.announced()
    if announced:
        box.settle_moves()  # before the ledger says that their rows are accepted
    try:
        for run, names in announced.items():
            for records in ledgers.in_parts(_accepted(box, name) for name in names):
                known.redo(records)
            for name in names:
                known.forget(_withdrawn(box, name))
            known.settle(run)
    except ledgers.Damaged:
        return rebuild(box)
    return known


def _ledger(box: Box) -> Ledger:
    return Ledger(box.disk, f"{box.path}/ledger", repair=lambda: rebuild(box))


def rebuild(box: Box) -> Ledger:
    """The ledger made anew from the batches. The caller holds the intake lock."""
    known = _ledger(box)
    known.create()
    box.settle_moves()
    known.rebuild(lambda: (_standing(box, name) for name in box.ids()))
    for run in known.announced():
        known.settle(run)
    return known


def _accepted(box: Box, name: str) -> bytes:
    """The row keys of a batch that an announced run has accepted; none if it did not, or was withdrawn.

    Of a batch that was split since, its own: nobody can withdraw a half before this run is merged.
    """
    batch, records = _rowkeys(box, name)
    return b"" if _is(batch, states.WITHDRAWN) else records


def _withdrawn(box: Box, name: str) -> bytes:
    """The row keys of a withdrawn batch, else none."""
    batch, records = _rowkeys(box, name)
    return records if _is(batch, states.WITHDRAWN) else b""


def _standing(box: Box, name: str) -> bytes:
    """The row keys that a batch adds to an index made anew; of a split one, its halves have them."""
    batch, records = _rowkeys(box, name)
    replaced = batch is not None and batch.place == "done" and _is(batch, states.SPLIT)
    return b"" if replaced or _is(batch, states.WITHDRAWN) else records


def _is(batch: Batch | None, state: str) -> bool:
    return batch is not None and batch.state is not None and batch.state.name == state


def _rowkeys(box: Box, name: str) -> tuple[Batch | None, bytes]:
    """A batch and the records of its rows; none of them if they are damaged, or it does not exist."""
    found = box.look_up(name)
    if found is None:
        return None, b""
    try:
        return found[0], ledgers.opened(found[1])
    except ledgers.Damaged:
        return found[0], b""
