"""Move an outbox from a directory to a store: the same outbox, with its key, its history and its row keys.

The directory is retired first, so that nothing is accepted or sent in both. Everything is written under names
that follow from the outbox, so a move that was killed goes on when it is run again; the outbox on the store
exists once its identity is there, which comes last.

What cannot be moved: batches in doubt, refused or quarantined, on which a person decides first. The way back
is ``moving_back``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from irmcore.delivery.breaker_store import load_breaker
from irmcore.errors import OperatorError
from irmcore.intake.ledger.day_files import group_by_day
from irmcore.operations.adoption import exclusive
from irmcore.outbox import Batch, Outbox, audit_chain, audit_log, promotion_note, rowkeys, states
from irmcore.outbox import identity as identity_file
from irmcore.outbox import keyring as key_file
from irmcore.outbox.batch_files import read_manifest, read_rowkeys
from irmcore.outbox.identity import Identity
from irmcore.outbox.on_store import layout, records
from irmcore.outbox.on_store.commit_log import COMMIT, log_key
from irmcore.outbox.on_store.shared import IDENTITY, KEY, MOVING, SharedOutbox
from irmcore.outbox.outbox import AUDIT_LOG
from irmcore.outbox.rowkeys import Damaged
from irmcore.store import claim
from irmcore.store.numbered import DIGITS

#: What a move takes with it, besides the batches.
FILES = re.compile(r"(connector|retention|indicators|canary)\.json|cursor(-[0-9a-z-]+)?")
#: Batches in one record of the log.
_AT_ONCE = 200
_AT_REST = (states.READY, states.INTENT, states.RETRY, states.PROPOSED, states.SPLIT, *states.ENDED)
_REPLACED = (states.WITHDRAWN, states.PROMOTED, states.SPLIT)


def move(outbox: Outbox, shared: SharedOutbox, *, who: str, why: str) -> int:
    """Move ``outbox`` to the store, and return how many batches were moved.

    Raises OperatorError if a person has to decide about a batch first, or if the store has another outbox;
    OutboxBusy, DamageError, StoreAway, StoreRefused, OSError. Then run it again.
    """
    with exclusive(outbox):
        known = outbox.check_format()
        if not known.retired:
            outbox.check()
        batches = sorted(outbox.all_batches(), key=_place_in_queue)
        _refuse_undecided(outbox, batches)
        _begin(outbox, known, shared)
        if not known.retired:
            audit_log.append(outbox, {"event": "moved", "by": who, "why": why, "to": shared.where})
            outbox.save_identity(replace(known, retired=True))
        _Move(outbox, shared, known.id).copy(batches)
        made = Identity(known.id, known.epoch + 1, layout.host_of(shared.where), "", None, outbox.clock.now())
        shared.log.index()
        _put(shared, layout.first_key(IDENTITY), identity_file.encode(made))
        return len(batches)


def _place_in_queue(batch: Batch) -> tuple[int, str, str]:
    return batch.state.order if batch.state is not None else 0, batch.id, batch.folder


def _refuse_undecided(outbox: Outbox, batches: Sequence[Batch]) -> None:
    undecided = [
        batch
        for batch in batches
        if batch.folder == "quarantine" or batch.state is None or batch.state.name not in _AT_REST
    ]
    if undecided:
        raise OperatorError(
            f"{len(undecided)} batches are in doubt, refused or quarantined, so the outbox was not moved",
            where=outbox.path,
            next_step="`irmexport status` lists them. Decide about each, then run this again.",
        )
    begun = promotion_note.begun(outbox)
    if any(batch.id in begun for batch in batches if batch.folder != "done"):
        raise OperatorError(
            "batches are on their way to an outbox that machines share, which may send them, so this one was "
            "not moved",
            where=outbox.path,
            next_step="`irmexport drain` moves them there if `--outbox` names that one, and holds them here "
            "if it names this one. Decide about each that is held, then run this again.",
        )


def _begin(outbox: Outbox, known: Identity, shared: SharedOutbox) -> None:
    """Note on the store which outbox is moved there, and create its key.

    Whoever has the key there first has the address. Raises OperatorError if that is another outbox.
    """
    note = shared.read_file(MOVING)
    if note is None and shared.read_file(KEY) is None:
        claim(shared.store, layout.first_key(MOVING), records.encode(outbox=known.id), shared.clock)
        note = shared.read_file(MOVING)
    if note is not None and records.decode(note)["outbox"] == known.id:
        claim(shared.store, layout.first_key(KEY), key_file.encode(outbox.keyring), shared.clock)
        if shared.keyring.outbox == known.id:
            return
    raise OperatorError(
        "the store has an outbox at this address already",
        where=shared.where,
        next_step="Nothing was changed. Choose another prefix.",
    )


def _put(shared: SharedOutbox, key: str, value: bytes) -> None:
    """Create a value, unless an earlier try has created it. Raises StoreAway, StoreRefused."""
    shared.store.create(key, value)


class _Move:
    """Copies what a directory has."""

    def __init__(self, outbox: Outbox, shared: SharedOutbox, identity: str) -> None:
        self._outbox, self._shared, self._identity = outbox, shared, identity

    def copy(self, batches: Sequence[Batch]) -> None:
        outbox = self._outbox
        for number, start in enumerate(range(0, len(batches), _AT_ONCE)):
            part = [(self._name(batch), batch) for batch in batches[start : start + _AT_ONCE]]
            dates: dict[str, list[str]] = {}
            for name, batch in part:
                for date in self._copy_batch(name, batch, number):
                    dates.setdefault(date, []).append(name)
            names = [name for name, _ in part]
            self._put(log_key(number), records.encode(kind=COMMIT, run="moved", batches=names, dates=dates))
        for line in audit_chain.split(outbox.read_file(AUDIT_LOG) or b""):
            found = audit_chain.decode(line)
            if found is not None:
                prefix = "checkpoint/" + "0" * DIGITS if found.is_checkpoint else ""
                self._put(prefix or layout.event_key(int(found.event["n"])), line)
        self._put(f"breaker/{0:0{DIGITS}}", records.encode(**load_breaker(outbox)[0].as_record()))
        for name in filter(FILES.fullmatch, outbox.disk.names(outbox.path)):
            self._put(layout.first_key(name), outbox.read_file(name) or b"")

    def _put(self, key: str, value: bytes) -> None:
        _put(self._shared, key, value)

    def _name(self, batch: Batch) -> str:
        """The same in each try. It sorts as the queue does."""
        # A withdrawn batch may be in done/ beside its successor in ready/, which has the same id.
        digest = hashlib.sha256(f"{self._identity} {batch.folder} {batch.id}".encode("ascii"))
        return f"{_place_in_queue(batch)[0] // 1_000:014x}-{digest.hexdigest()[:16]}-{batch.id}"

    def _copy_batch(self, name: str, batch: Batch, number: int) -> list[str]:
        """Write a batch, and return the dates whose row keys it adds to the index."""
        outbox = self._outbox
        if batch.folder == "ready":
            self._put(layout.open_key(name), records.encode(run="moved", after=number - 1))
        if batch.state is not None and batch.state.name != states.READY:
            # Number 0 is the first state that a run gives.
            number_there = int(batch.state.name != states.PROPOSED)
            key = f"{layout.states_prefix(name)}{number_there:0{DIGITS}}"
            self._put(key, records.encode(**batch.state.as_record(batch.id)))
        read_manifest(outbox, batch)
        values = {"manifest": outbox.disk.read(f"{batch.path}/manifest.json")}
        if outbox.disk.exists(f"{batch.path}/payload"):
            values.update(layout.payload_parts(outbox.disk.read(f"{batch.path}/payload")))
        by_date = dict(self._rowkeys(batch))
        whole = outbox.disk.read(f"{batch.path}/rowkeys") if by_date else b""
        if len(by_date) == 1:
            by_date = dict.fromkeys(by_date, whole)
        elif by_date:
            values[layout.ALL_ROWKEYS] = whole
        values.update({f"rowkeys/{date}": value for date, value in by_date.items()})
        for part, value in values.items():
            self._put(layout.part_key(name, part), value)
        state = batch.state.name if batch.state is not None else ""
        return [] if batch.folder == "done" and state in _REPLACED else list(by_date)

    def _rowkeys(self, batch: Batch) -> Iterator[tuple[str, bytes]]:
        try:
            groups: Mapping[int, bytes] = group_by_day(read_rowkeys(self._outbox, batch))
        except Damaged:
            return  # as in the directory, its rows may be accepted again
        for day, found in groups.items():
            yield layout.date_text(day), rowkeys.seal(self._outbox.keyring, found)
