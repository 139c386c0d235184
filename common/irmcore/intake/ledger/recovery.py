"""Open the row ledger of an outbox, complete after whatever interrupted earlier runs.

If a run was interrupted after it announced its batches, those that were accepted are merged. If the index is
damaged or missing, it is rebuilt from all batches. A batch whose own row keys are damaged adds nothing: its
rows may be sent again.
"""

from __future__ import annotations

from irmcore.intake.ledger.index import Ledger, in_parts
from irmcore.outbox import Batch, Outbox, states
from irmcore.outbox.batch_files import find_with_rowkeys
from irmcore.outbox.rowkeys import Damaged, unseal


def open_ledger(outbox: Outbox) -> Ledger:
    """The ledger, with interrupted runs merged. The caller holds the intake lock. Raises OSError."""
    ledger = _ledger(outbox)
    if not ledger.complete():
        return rebuild(outbox)
    announced = ledger.announcements.all()
    if announced:
        outbox.sync_ready()  # before the ledger says that their rows are accepted
    try:
        for run, names in announced.items():
            for records in in_parts(accepted_records(outbox, name) for name in names):
                ledger.merge_missing(records)
            for name in names:
                ledger.remove(_withdrawn_records(outbox, name))
            ledger.announcements.discard(run)
    except Damaged:
        return rebuild(outbox)
    return ledger


def read_ledger(outbox: Outbox) -> Ledger | None:
    """The ledger for a reader, which repairs nothing; None if no row was ever accepted."""
    ledger = Ledger(outbox.disk, f"{outbox.path}/ledger", outbox.keyring)
    return ledger if ledger.complete() or any(outbox.ids()) else None


def rebuild(outbox: Outbox) -> Ledger:
    """The ledger, rebuilt from all batches. The caller holds the intake lock. Raises OSError."""
    ledger = _ledger(outbox)
    ledger.create()
    outbox.sync_ready()
    ledger.rebuild(lambda: (_current_records(outbox, name) for name in outbox.ids()))
    for run in ledger.announcements.all():
        ledger.announcements.discard(run)
    return ledger


def accepted_records(outbox: Outbox, name: str) -> bytes:
    """The records of a batch of an announced run; none if it was not accepted, was withdrawn or promoted.

    A batch that was split since gives its own: nobody can withdraw a half before this run is merged.
    """
    batch, records = _records(outbox, name)
    return b"" if _is(batch, *states.GIVEN_UP) else records


def _ledger(outbox: Outbox) -> Ledger:
    path = f"{outbox.path}/ledger"
    return Ledger(outbox.disk, path, outbox.keyring, repair=lambda: rebuild(outbox))


def _withdrawn_records(outbox: Outbox, name: str) -> bytes:
    """The records of a batch that was withdrawn or promoted; none of any other."""
    batch, records = _records(outbox, name)
    return records if _is(batch, *states.GIVEN_UP) else b""


def _current_records(outbox: Outbox, name: str) -> bytes:
    """The records that a batch adds to a rebuilt index; a split batch adds none, as its halves do."""
    batch, records = _records(outbox, name)
    replaced = batch is not None and batch.folder == "done" and _is(batch, states.SPLIT)
    return b"" if replaced or _is(batch, *states.GIVEN_UP) else records


def _is(batch: Batch | None, *names: str) -> bool:
    return batch is not None and batch.state is not None and batch.state.name in names


def _records(outbox: Outbox, name: str) -> tuple[Batch | None, bytes]:
    """A batch and its records; no records if they are damaged or the batch does not exist."""
    found = find_with_rowkeys(outbox, name)
    if found is None:
        return None, b""
    try:
        return found[0], unseal(outbox.keyring, found[1])
    except Damaged:
        return found[0], b""
