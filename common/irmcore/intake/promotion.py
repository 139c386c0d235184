"""Promote what a machine has accepted: from its own outbox into one on a store, which machines share.

A run is promoted as a whole, and the runs in their order. Rows that the store knows by then (another
machine was quicker) fall out, and so do rows that a newer run of another machine has changed. A row whose
(user, time) pair another one took gets the next time that its profile allows. Promoted batches are keyed
with the key of the outbox on the store.

Promised: killed anywhere, the next promotion goes on, and no row is lost or there twice. A batch is PROMOTED
here only once its run is committed there. Not promised: to know the outcome while the store is away; what was
not promoted stays here. Nor that a store keeps what it acknowledged, and has shown, until then.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import secrets
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from typing import Any, NamedTuple

from irmcore.clock import Clock
from irmcore.counts import Counts
from irmcore.disk import Lock
from irmcore.errors import BatchDamaged, OutboxBusy
from irmcore.intake.accept import CONTENT_TYPE
from irmcore.intake.accepted_there import AcceptedThere, records_of
from irmcore.intake.commit import LOCK_TIMEOUT, wait_for_intake_lock
from irmcore.intake.ledger.day import Day
from irmcore.intake.ledger.day_files import group_by_day
from irmcore.intake.ledger.index import in_parts
from irmcore.intake.ledger.recovery import open_ledger
from irmcore.outbox import Batch, Outbox, State, audit_log, promotion_note, rowkeys, runs, sealed, states
from irmcore.outbox import manifest as manifests
from irmcore.outbox.batch_files import read_manifest, read_payload, read_rowkeys
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.manifest import Manifest
from irmcore.outbox.on_store import layout
from irmcore.outbox.on_store.commit_log import Draft, RowKeys, View, attempt_of, log_key
from irmcore.outbox.on_store.lease import MARGIN
from irmcore.outbox.on_store.shared import SETTINGS, SharedOutbox
from irmcore.outbox.on_store.witness import restored
from irmcore.outbox.rowkeys import RECORD, Damaged, RowKey
from irmcore.outbox.transitions import make_shards, move_to_done, quarantine, write_all_ended
from irmcore.shaping import reject_file
from irmcore.shaping.batches import line_writer
from irmcore.shaping.csv_cells import allow_long_fields
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.spreading import FreePlaces, windows_of
from irmcore.shaping.times import canonical, parse
from irmcore.store.claim import PAUSE, READABLE_SECONDS, read_existing

#: States of batches whose rows count as sent, and how many of them are promoted in one record of the log.
_COUNT, _AT_A_TIME = (states.SENT, states.ERASED), 50
#: Records behind the index from which on a promotion brings it up to date.
_INDEX_AT = 8


class Promoted(NamedTuple):
    """What became of a run of ``user`` on the store: the ids and sizes of its batches, what is not in them.

    ``known`` rows had been accepted there by another machine, or changed by a newer run. ``refused`` counts
    by reason the rows whose time another machine has taken, which are in the file ``rejects``.
    """

    run: str
    batches: tuple[str, ...]
    sizes: tuple[int, ...]
    known: int
    refused: Mapping[str, int]
    rejects: str | None
    user: str


def promote(
    outbox: Outbox,
    shared: SharedOutbox,
    *,
    run: str = "",
    there: AcceptedThere | None = None,
    timeout: float = LOCK_TIMEOUT,
    late: float = math.inf,
) -> list[Promoted]:
    """Promote all runs in ``outbox``. The run ``run`` was shaped with what ``there`` has read.

    ``late``: seconds after which a run is HELD there, as row keys of others may be gone that it repeats.
    Raises OutboxBusy if another process promotes for ``timeout`` seconds, StoreAway, StoreRefused,
    KeyMissing, OSError; then the runs that were not promoted are still in ``outbox``.
    """
    done: list[Promoted] = []
    if not outbox.exists() or not outbox.count_ready():
        return done
    lock = _wait_for_lock(outbox, timeout)
    try:
        create_there(outbox, shared)
        for one, batches in groupby(_queued(outbox), key=lambda found: found[1].run):
            read_at = there.read_at if there is not None and one == run else {}
            done += [
                _Promotion(outbox, shared, one, part, read_at=read_at, late=late).promote()
                for part in _as_noted(outbox, list(batches))
            ]
        if done:
            if shared.rolls_back:
                create_there(outbox, shared)  # also if its identity was taken back meanwhile
            shared.log.index(_INDEX_AT)
    finally:
        lock.release()
    return done


def was_promoted(outbox: Outbox) -> bool:
    """Whether anything was ever promoted from ``outbox``."""
    return promotion_note.exists(outbox)


def result_there(outbox: Outbox, run: str) -> Promoted | None:
    """What became of a run of ``outbox`` that was promoted; None if it was not, or long ago."""
    try:
        found = sealed.decode(outbox.read_file(runs.promoted_file(run)) or b"")
    except ValueError:
        return None
    batches, sizes = tuple(found.pop("batches")), tuple(found.pop("sizes"))
    return Promoted(**found, batches=batches, sizes=sizes)


def _save(outbox: Outbox, promoted: Promoted) -> None:
    """Durable before a batch of the run is PROMOTED here, so whoever finds it so can follow the run there."""
    name = runs.promoted_file(promoted.run)
    with suppress(FileExistsError):
        outbox.disk.make_dir(f"{outbox.path}/{name.partition('/')[0]}")
    outbox.replace_file(name, sealed.encode(promoted._asdict()))


def create_there(outbox: Outbox, shared: SharedOutbox) -> None:
    """Create the outbox on the store, with the settings of ``outbox``. Raises StoreAway, StoreRefused."""
    shared.create()
    settings = outbox.read_file(SETTINGS)
    if settings is not None:
        shared.replace_file(SETTINGS, settings)


def promote_history(outbox: Outbox, shared: SharedOutbox) -> None:
    """Let others know the rows that this machine has sent by itself, before it came to share an outbox.

    Their batches are done there too, without payloads. Repeating it adds nothing. Raises as ``promote``.
    """
    lock = _wait_for_lock(outbox, LOCK_TIMEOUT)
    try:
        create_there(outbox, shared)
        done = (batch for batch in outbox.done() if batch.state and batch.state.name in _COUNT)
        while chunk := list(islice(done, _AT_A_TIME)):
            # Random, as that of another machine is no try of this one; no run id, as it is newer than no run.
            run = attempt_of(f"history-{secrets.token_hex(8)}")
            shared.log.accept(run, partial(_history, outbox, shared, chunk))
        shared.log.index()
        promotion_note.set_alone(outbox, alone=False)
    finally:
        lock.release()


def _history(outbox: Outbox, shared: SharedOutbox, batches: list[Batch], view: View) -> list[Draft]:
    """These finished batches, with the rows that nobody else has sent."""
    days, ring, drafts = _Days(shared, view, {}, "", 0.0), shared.keyring, []
    for batch in batches:
        try:
            manifest, rows = read_manifest(outbox, batch), rowkeys.unpack(read_rowkeys(outbox, batch))
            records = rowkeys.pack(row for row in rows if not days.has(row))
        except (BatchDamaged, Damaged):
            continue  # as in the directory, its rows may be accepted again
        if records and batch.state is not None:
            name = ring.keyed(batch.id)
            first = batch.state.as_record(name)
            drafts.append(_draft(ring, name, manifest, records, parts={}, first=first))
    return drafts


def _wait_for_lock(outbox: Outbox, timeout: float) -> Lock:
    end = outbox.clock.monotonic() + timeout
    while (lock := outbox.sender_lock()) is None:
        if outbox.clock.monotonic() >= end:
            raise OutboxBusy(
                "another process is promoting what this machine has accepted",
                where=outbox.path,
                next_step="Nothing is lost. Run this again when it has ended.",
            )
        outbox.clock.sleep(0.05)
    return outbox.checked(lock)


def _queued(outbox: Outbox) -> Iterator[tuple[Batch, Manifest]]:
    """The batches to promote, oldest first. What is damaged is quarantined."""
    outbox.sync_ready()
    for batch in outbox.ready():
        name = batch.state.name if batch.state else ""
        if name in states.ENDED:
            with suppress(OSError):
                move_to_done(outbox, batch)  # a promotion was killed before it
        elif name in (states.READY, states.RETRY, states.PROPOSED, *states.NEEDS_PERSON):
            try:
                yield batch, read_manifest(outbox, batch)
            except BatchDamaged:
                quarantine(outbox, batch)


def _as_noted(outbox: Outbox, batches: list[tuple[Batch, Manifest]]) -> list[list[tuple[Batch, Manifest]]]:
    """The batches of a run whose promotion was begun, and the others: they are promoted apart.

    One that was quarantined while its run was promoted, and comes back, is not in the run's record there.
    """
    note = promotion_note.read(outbox)
    begun = set(note.get("batches", ())) if note.get("run") == batches[0][1].run else set()
    parts = [
        [found for found in batches if found[0].id in begun],
        [found for found in batches if found[0].id not in begun],
    ]
    return [part for part in parts if part]


class _Promotion:
    """The promotion of one run."""

    def __init__(
        self,
        outbox: Outbox,
        shared: SharedOutbox,
        run: str,
        batches: list[tuple[Batch, Manifest]],
        *,
        read_at: Mapping[str, int],
        late: float,
    ) -> None:
        self._outbox, self._shared, self._run, self._batches = outbox, shared, run, batches
        self._is_late = outbox.clock.now() - batches[0][1].accepted > late
        self._read_at = read_at
        self._drafts: dict[str, int] = {}
        self._known = 0
        self._refused: list[Reject] = []
        self._own_times: set[int] = set()
        self._free: dict[int, FreePlaces] = {}
        self._header: list[str] = []
        self._rejects = ""
        self._note: dict[str, Any] = {}

    def promote(self) -> Promoted:
        repeated = self._begin()
        if repeated:
            self._discard_earlier_tries()
        self._rejects = str(self._note["rejects"])
        names = self._shared.log.accept(attempt_of(self._run), self._shape, int(self._note["after"]))
        ids = tuple(map(layout.id_of, names))
        if ids == tuple(self._drafts):
            sizes, known, refused = tuple(self._drafts.values()), self._known, len(self._refused)
        else:  # an earlier try was accepted
            there, counts = [self._manifest_there(name) for name in names], self._batches[0][1].counts
            sizes = tuple(manifest.rows for manifest in there)
            known = there[0].counts.skipped - counts.skipped
            refused = there[0].counts.rejected - counts.rejected
        path = f"{self._outbox.path}/{self._rejects}"
        promoted = Promoted(
            self._run,
            ids,
            sizes,
            known,
            {self._refusal(): refused} if refused else {},
            path if self._outbox.disk.exists(path) else None,
            self._batches[0][1].origin.user,
        )
        self._shared.log.check_kept(names, int(self._note["after"]))
        _save(self._outbox, promoted)
        self._mark(known)
        return promoted

    def _manifest_there(self, name: str) -> Manifest:
        key = layout.part_key(name, "manifest")
        data = read_existing(self._shared.store, key, self._outbox.clock)
        return manifests.decode(data, key, self._shared.keyring)

    def _refusal(self) -> str:
        """Why rows of this run are refused whose time another machine has taken."""
        spread = self._batches[0][1].profile.get("collisions") == "spread"
        return "no-free-slot" if spread else "collision"

    def _begin(self) -> bool:
        """Note what is promoted, before the first try. Returns whether this is not the first one."""
        note, outbox = promotion_note.read(self._outbox), self._shared.keyring.outbox
        ids = {batch.id for batch, _ in self._batches}
        repeated = (note.get("run"), note.get("outbox")) == (self._run, outbox)
        repeated = repeated and ids <= set(note.get("batches", ()))
        self._note = note
        if not repeated:
            self._note = {
                "run": self._run,
                "outbox": outbox,
                "epoch": self._shared.epoch,
                "after": self._after(note, outbox),
                "rejects": runs.reject_file_of_promotion(self._run, self._outbox.clock.now()),
            }
        self._save_note()
        return repeated

    def _after(self, before: Mapping[str, Any], outbox: str) -> int:
        """The last number of the log now. ``before`` is the note of the run before this one.

        Raises PlaceRefused if that run saw a longer log: the store was restored, and is to be adopted.
        """
        last = self._shared.log.view().last
        known = (before.get("outbox"), before.get("epoch")) == (outbox, self._shared.epoch)
        if known and self._shared.adoptable:
            done = result_there(self._outbox, str(before["run"]))
            seen = int(before["after"]) + bool(done is not None and done.batches)
            end = self._shared.clock.monotonic() + READABLE_SECONDS
            while last < seen and self._shared.store.get(log_key(seen)) is None:
                if self._shared.clock.monotonic() >= end:  # it does not only show it late
                    raise restored(self._shared.where, f"record {seen} of its log")
                self._shared.clock.sleep(PAUSE)
        return last

    def _save_note(self) -> None:
        """Durable before the run is committed with these batches. One that was quarantined may be there."""
        ids = [batch.id for batch, _ in self._batches]
        if ids != self._note.get("batches"):
            self._note = promotion_note.with_earlier(self._outbox, {**self._note, "batches": ids})
            promotion_note.write(self._outbox, self._note)

    def _discard_earlier_tries(self) -> None:
        """Remove what tries that were killed have written, unless one of them was accepted."""
        tries = {str(marker["run"]) for _, marker in self._shared.log.open()}
        for run in sorted(tries):
            if run.partition(".")[0] == self._run:
                self._shared.log.discard(run)

    # -- what is new there --------------------------------------------------------------

    def _shape(self, view: View) -> list[Draft]:
        """The batches of the rows that are new there. Called again if another run came first."""
        self._known, self._refused = 0, []
        days = _Days(self._shared, view, self._read_at, self._run, self._batches[0][1].accepted)
        kept = []
        for batch, manifest in list(self._batches):
            try:
                payload, records = (
                    read_payload(self._outbox, batch, manifest),
                    read_rowkeys(self._outbox, batch),
                )
            except (BatchDamaged, Damaged):
                quarantine(self._outbox, batch)
                if len(self._batches) > 1:
                    self._batches.remove((batch, manifest))
                    self._save_note()
                continue
            found = self._new_rows(manifest, payload, records, days)
            if found[1]:
                kept.append((batch, manifest, *found))
        self._save_rejects()
        counts = self._counts()
        drafts = [
            self._draft(batch, replace(manifest, part=part, parts=len(kept), counts=counts), payload, records)
            for part, (batch, manifest, payload, records) in enumerate(kept, 1)
        ]
        sizes = (len(records) // RECORD.size for *_, records in kept)
        self._drafts = dict(zip((draft.id for draft in drafts), sizes))
        return drafts

    def _counts(self) -> Counts:
        counts, refused = self._batches[0][1].counts, len(self._refused)
        return replace(
            counts,
            shaped=counts.shaped - self._known - refused,
            skipped=counts.skipped + self._known,
            rejected=counts.rejected + refused,
        )

    def _new_rows(
        self, manifest: Manifest, payload: bytes, records: bytes, days: _Days
    ) -> tuple[bytes, bytes]:
        """The payload and the records of the rows that are new there, at times that are free there."""
        rows = [RowKey._make(row) for row in RECORD.iter_unpack(records)]
        if not any(days.concern(row) for row in rows):
            return payload, records
        if manifest.content_type != CONTENT_TYPE:
            return self._new_objects(payload, rows, days)
        allow_long_fields()
        header, *lines = csv.reader(io.StringIO(payload.decode("utf-8"), newline=""))
        self._header = header
        write = line_writer()
        text, kept = [write(header)], []
        for row, line in zip(rows, lines):
            skip = manifest.profile.get("on_change") == "skip"
            changed = days.has_subject(row) and (skip or (not self._is_late and days.is_superseded(row)))
            if days.has(row) or changed:
                self._known += 1
                continue
            placed = self._placed(row, line, manifest.profile, days)
            if placed is None:
                self._refused.append(Reject(0, "", self._refusal(), tuple(line)))
                continue
            kept.append(placed)
            text.append(write(line))
        if not kept:
            return b"", b""
        return "".join(text).encode("utf-8"), rowkeys.pack(kept)

    def _new_objects(self, payload: bytes, rows: list[RowKey], days: _Days) -> tuple[bytes, bytes]:
        """The same for a JSON array with an object for each row, whose time nobody else can take."""
        kept = [(row, one) for row, one in zip(rows, json.loads(payload)) if not days.has(row)]
        self._known += len(rows) - len(kept)
        if not kept:
            return b"", b""
        text = json.dumps([one for _, one in kept], ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8"), rowkeys.pack(row for row, _ in kept)

    def _placed(self, row: RowKey, line: list[str], rules: Mapping[str, str], days: _Days) -> RowKey | None:
        """The row at a time that is free there, which is entered into its line; None if there is none."""
        policy = rules.get("collisions")
        if policy == "keep-greatest" or not days.has_user_time(row):
            return row
        if policy != "spread":
            return None
        at = self._header.index(rules["time_column"])
        now, own = parse(line[at], zone=None), self._times()
        step, keeps = int(rules["step"]), rules.get("keeps_precision") == "yes"
        windows = windows_of(step, row.precision if keeps else 0)
        time = self._free.setdefault(step, FreePlaces(step)).find(
            row.time if keeps else now,
            row.key,
            row.user_time - now,
            windows,
            lambda pair: pair in own or days.has_user_time(row._replace(user_time=pair)),
        )
        if time is None:
            return None
        line[at] = canonical(time)
        moved = row._replace(user_time=row.user_time + time - now)
        own.add(moved.user_time)
        return moved

    def _times(self) -> set[int]:
        """The (user, time) keys of all rows of the run, read when a first row has to move."""
        if not self._own_times:
            for batch, _ in self._batches:
                with suppress(Damaged, OSError):
                    self._own_times.update(
                        row.user_time for row in rowkeys.unpack(read_rowkeys(self._outbox, batch))
                    )
        return self._own_times

    def _draft(self, batch: Batch, manifest: Manifest, payload: bytes, records: bytes) -> Draft:
        """The batch under the key of the outbox on the store."""
        ring = self._shared.keyring
        name = manifests.batch_id(ring, manifest.destination, manifest.content_type, payload)
        changed = replace(
            manifest,
            payload_check=ring.keyed(hashlib.sha256(payload).hexdigest()),
            payload_bytes=len(payload),
        )
        first = _first_state(batch.state, name, self._outbox.clock, late=self._is_late)
        return _draft(ring, name, changed, records, parts=layout.payload_parts(payload), first=first)

    # -- afterwards ---------------------------------------------------------------------

    def _save_rejects(self) -> None:
        """Durable before the run is committed without these rows."""
        if self._refused:
            lines = reject_file.lines(self._refused, self._header, "")
            self._outbox.replace_file(self._rejects, reject_file.header_line() + lines)

    def _mark(self, known: int) -> None:
        """The run is committed: from now on only the outbox on the store knows its rows."""
        outbox = self._outbox
        event = {"event": "promoted", "run": self._run, "to": self._shared.where, "known_there": known}
        lock = wait_for_intake_lock(outbox)
        try:
            ledger = open_ledger(outbox)
            named = [batch for batch, _ in self._batches if outbox.folder_of(batch.id) == "ready"]
            # Announced first, so that the ledger forgets the rows even if this process dies half way.
            ids = [batch.id for batch in named]
            ledger.announcements.announce(self._run, ids)
            audit_log.append(outbox, {**event, "batches": ids})
            write_all_ended(outbox, named, states.PROMOTED, "promoted")
            with suppress(OSError, Damaged):  # the announcement stays: the next run removes the rows
                # Many batches at a time: each time, whole dates of the ledger are written.
                for part in in_parts(read_rowkeys(outbox, batch) for batch in named):
                    ledger.remove(part)
                ledger.announcements.discard(self._run)
            with suppress(OSError):
                make_shards(outbox, ids)
            for name in ids:
                with suppress(OSError):
                    move_to_done(outbox, outbox.get(name))
        finally:
            lock.release()


class _Days:
    """What the outbox on a store knows of the dates of a run, as far as the run was not shaped with it."""

    def __init__(
        self, shared: SharedOutbox, view: View, read_at: Mapping[str, int], run: str, began: float
    ) -> None:
        self._shared, self._view, self._read_at = shared, view, read_at
        self._run, self._began = run, began
        self._days: dict[int, Day] = {}
        self._newer: dict[int, Day] = {}

    def _day(self, number: int) -> Day:
        if number not in self._days:
            date = layout.date_text(number)
            found = self._view.rowkeys(date, self._read_at.get(date, -1))
            self._days[number] = Day(records_of(self._shared, found))
        return self._days[number]

    def concern(self, row: RowKey) -> bool:
        """Whether the row may be known, or its time taken."""
        day = self._day(row.day)
        return len(day) > 0 and (day.has_subject(row.key) or day.has_user_time(row.user_time))

    def has(self, row: RowKey) -> bool:
        return self._day(row.day).has(row.key)

    def has_subject(self, row: RowKey) -> bool:
        return self._day(row.day).has_subject(row.key)

    def has_user_time(self, row: RowKey) -> bool:
        return self._day(row.day).has_user_time(row.user_time)

    def is_superseded(self, row: RowKey) -> bool:
        """Whether a run that began later has a row of the same detection: the service would keep this one."""
        if row.day not in self._newer:
            files = self._shared.log.rowkeys_since(
                layout.date_text(row.day),
                self._began - MARGIN,
                self._view.last,
                partial(runs.is_newer, than=self._run),
            )
            self._newer[row.day] = Day(records_of(self._shared, RowKeys(files, [])))
        return self._newer[row.day].has_subject(row.key)


def _draft(
    ring: Keyring,
    name: str,
    manifest: Manifest,
    records: bytes,
    *,
    parts: Mapping[str, bytes],
    first: Mapping[str, Any] | None,
) -> Draft:
    """The batch ``name`` with the rows of these records, under the key of the outbox on the store."""
    named = _named(records, bytes.fromhex(name)[:8])
    by_date = {layout.date_text(day): rowkeys.seal(ring, part) for day, part in group_by_day(named).items()}
    whole = next(iter(by_date.values())) if len(by_date) == 1 else rowkeys.seal(ring, named)
    changed = replace(
        manifest,
        id=name,
        rows=len(records) // RECORD.size,
        rowkeys_sha256=hashlib.sha256(whole).hexdigest(),
        generation=ring.newest,
    )
    parts = {"manifest": manifests.encode(changed, ring), **parts}
    if len(by_date) != 1:
        parts[layout.ALL_ROWKEYS] = whole  # in the order of the rows
    return Draft(name, parts, by_date, first)


_BEFORE_BATCH = struct.Struct(f">{RECORD.size - 17}s8s9s")


def _named(records: bytes, batch: bytes) -> bytes:
    """The records with another batch."""
    return b"".join(
        _BEFORE_BATCH.pack(before, batch, after) for before, _, after in _BEFORE_BATCH.iter_unpack(records)
    )


def _first_state(state: State | None, name: str, clock: Clock, *, late: bool) -> dict[str, object] | None:
    """The record of a batch's first state there; None for READY, also if it was HELD for its promotion."""
    if state is None:
        return None
    is_ready = state.name == states.READY or state.reason == promotion_note.BEGUN
    if late and (is_ready or state.name == states.RETRY):
        state = state._replace(name=states.HELD, reason="promoted-late")
    elif is_ready:
        return None
    return state._replace(at=clock.now()).as_record(name)
