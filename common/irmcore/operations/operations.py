"""Decisions that a person makes: resolve, withdraw, requeue, resume, and delete what has expired.

Each one that changes a batch is in the batch's history with who and why. Each takes the sender's lock,
so that no batch is being sent while it is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker, store_breaker
from irmcore.errors import BatchDamaged, OperatorError, OutboxBusy
from irmcore.intake.ledger.recovery import open_ledger
from irmcore.outbox import Batch, Outbox, states
from irmcore.outbox.batch_files import read_manifest, read_payload, read_rowkeys
from irmcore.outbox.retention import BATCH_SECONDS, PAYLOAD_SECONDS, delete_expired
from irmcore.outbox.rowkeys import Damaged, unseal
from irmcore.outbox.transitions import (
    move_to_done,
    move_to_ready,
    record_event,
    write_state,
    write_withdrawn,
)


@contextmanager
def _no_sender(outbox: Outbox) -> Iterator[None]:
    """Hold the sender's lock. Raises OutboxBusy, UnknownFormat."""
    outbox.check_format()
    lock = outbox.sender_lock()
    if lock is None:
        raise OutboxBusy(
            "a sender is working on this connector",
            where=outbox.path,
            next_step="Try again in a moment.",
        )
    try:
        yield
    finally:
        lock.release()


def held_since(outbox: Outbox, since: float) -> list[Batch]:
    """The batches that became HELD at or after ``since`` and still are."""
    return [
        batch
        for batch in outbox.ready()
        if batch.state and batch.state.name == states.HELD and batch.state.at >= since
    ]


def resolve(outbox: Outbox, name: str, outcome: str, *, who: str, why: str) -> Batch:
    """End a HELD batch: ``sent`` (the service has it), ``resend``, or ``withdraw``.

    A batch that is dead, quarantined or still queued can be withdrawn too.
    Raises OperatorError if the batch is in another state, OutboxBusy while it is being sent.
    """
    with _no_sender(outbox):
        batch = outbox.get(name)
        if outcome == "withdraw":
            return _withdraw(outbox, batch, who, why)
        _require(batch, (states.HELD,))
        target = states.SENT if outcome == "sent" else states.READY
        batch = write_state(outbox, batch, name=target, reason="resolved", not_before=0.0)
        record_event(outbox, batch, {"event": f"resolved-{outcome}", "by": who, "why": why})
        if target == states.SENT:
            move_to_done(outbox, batch)
        return outbox.get(name)


def _withdraw(outbox: Outbox, batch: Batch, who: str, why: str) -> Batch:
    """Withdraw a batch, so that the next run treats its rows as new."""
    if batch.folder != "quarantine":
        _require(batch, (*states.NEEDS_PERSON, states.READY, states.RETRY))
    lock = outbox.intake_lock()
    if lock is None:
        raise OutboxBusy(
            "another process is submitting rows to this connector",
            where=outbox.path,
            next_step="Try again in a moment.",
        )
    try:
        rows = _rows_of(outbox, batch)
        ledger = open_ledger(outbox)
        # Announced first, so that the ledger forgets the rows even if this process dies half way.
        ledger.announcements.announce(batch.id, [batch.id])
        batch = write_withdrawn(outbox, batch)
        record_event(outbox, batch, {"event": "withdrawn", "by": who, "why": why})
        ledger.remove(rows)
        ledger.announcements.discard(batch.id)
        move_to_done(outbox, batch)
    finally:
        lock.release()
    return outbox.get(batch.id)


def _rows_of(outbox: Outbox, batch: Batch) -> bytes:
    """The row key records of a batch. Raises BatchDamaged if they are not what was written."""
    try:
        return unseal(read_rowkeys(outbox, batch))
    except Damaged:
        raise BatchDamaged(
            "the row keys are damaged, so the batch cannot be withdrawn",
            where=f"{batch.path}/rowkeys",
            next_step="Keep the batch for the record. Rows that differ in any field can still be sent.",
        ) from None


def requeue(outbox: Outbox, name: str, *, who: str, why: str) -> Batch:
    """Put a DEAD or quarantined batch back into the queue, after its hash was checked.

    A quarantined batch whose outcome was in doubt comes back as HELD: only ``resolve`` ends a doubt.
    Raises OperatorError, BatchDamaged, OutboxBusy.
    """
    with _no_sender(outbox):
        batch = outbox.get(name)
        if batch.folder != "quarantine":
            _require(batch, (states.DEAD,))
        if batch.state is None or batch.state.name in states.ENDED:
            raise BatchDamaged(
                "what is left of this batch does not say whether it was sent",
                where=batch.path,
                next_step="Keep it for the record. Send its rows again from their source.",
            )
        read_payload(outbox, batch, read_manifest(outbox, batch))
        doubtful = batch.state.name in (states.COMMIT, states.HELD)
        state, reason = (states.HELD, "crash-after-commit") if doubtful else (states.READY, "requeued")
        batch = write_state(outbox, batch, name=state, reason=reason, not_before=0.0)
        record_event(outbox, batch, {"event": "requeued", "by": who, "why": why})
        return move_to_ready(outbox, batch) if batch.folder == "quarantine" else batch


def _require(batch: Batch, wanted: tuple[str, ...]) -> None:
    name = batch.state.name if batch.state else "unreadable"
    if batch.folder == "quarantine":
        name = "QUARANTINED"
    if name not in wanted:
        raise OperatorError(
            f"batch {batch.id[:12]} is {name}, not {' or '.join(wanted)}",
            where=batch.path,
            next_step="Run `irmexport status` to see what each batch needs.",
        )


def record_reconciliation(outbox: Outbox, name: str, saved: int, *, who: str) -> None:
    """Record that the portal's log has ``saved`` rows of a batch. The state stays as it is.

    Raises OperatorError, OutboxBusy.
    """
    with _no_sender(outbox):
        record_event(outbox, outbox.get(name), {"event": "reconciled", "saved": saved, "by": who})


def resume(outbox: Outbox) -> bool:
    """Reset the circuit breaker and make batches in RETRY due now. Returns whether anything changed."""
    with _no_sender(outbox):
        breaker, number = load_breaker(outbox)
        stopped = breaker.mode != circuit_breaker.CLOSED
        if stopped or breaker.doubts or breaker.refusals or breaker.failures:
            store_breaker(outbox, circuit_breaker.CircuitBreaker(), number)
        delayed = [
            batch
            for batch in outbox.ready()
            if batch.state and batch.state.name == states.RETRY and batch.state.not_before
        ]
        for batch in delayed:
            write_state(outbox, batch, not_before=0.0)
        return stopped or bool(delayed)


def clean_up(
    outboxes: Iterable[Outbox],
    payload_seconds: float = PAYLOAD_SECONDS,
    batch_seconds: float = BATCH_SECONDS,
) -> tuple[int, int]:
    """Delete what is past its retention time. Returns how many payloads and batches. Raises OutboxBusy."""
    payloads = batches = 0
    for outbox in outboxes:
        with _no_sender(outbox):
            deleted = delete_expired(outbox, payload_seconds=payload_seconds, batch_seconds=batch_seconds)
        payloads, batches = payloads + deleted[0], batches + deleted[1]
    return payloads, batches
