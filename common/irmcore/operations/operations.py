"""Decisions that a person makes: resolve, withdraw, requeue and resume.

Each is recorded in the audit log with who and why before it is done, or it is not done. Each takes the
sender's lock, so that no batch is being sent while it is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Callable

from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker, store_breaker
from irmcore.errors import BatchDamaged, OperatorError, OutboxBusy, OutboxFull, Overtaken
from irmcore.intake.commit import explain_disk_error
from irmcore.intake.ledger.recovery import open_ledger
from irmcore.outbox import Batch, Outbox, audit_log, promotion_note, states
from irmcore.outbox.batch_files import read_manifest, read_payload, read_rowkeys
from irmcore.outbox.rowkeys import Damaged
from irmcore.outbox.transitions import (
    move_to_done,
    move_to_ready,
    record_event,
    write_ended,
    write_state,
)

#: What a failure says if the action was not done.
_UNCHANGED = "nothing was changed"


@contextmanager
def no_sender(outbox: Outbox) -> Iterator[None]:
    """Hold the sender's lock. An OSError inside means that nothing was changed.

    Raises OutboxBusy, UnknownFormat, OutboxFull.
    """
    try:
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
    except OSError as error:
        raise _failed(outbox, error, _UNCHANGED) from error


def _failed(outbox: Outbox, error: OSError, result: str) -> OutboxFull:
    what, step = explain_disk_error(error, outbox.path)
    return OutboxFull(f"{what}; {result}", where=outbox.path, next_step=step)


@contextmanager
def _recorded(
    outbox: Outbox,
    event: dict[str, Any],
    record: Callable[[dict[str, Any]], None],
    current: Callable[[], object],
) -> Iterator[None]:
    """Record an action durably; the block then does it. Raises OutboxFull.

    ``current`` returns what the action changes. If that is as before after an error, the history says that
    the action was not done, where the disk still takes that line.
    """
    before = current()
    try:
        record(event)
        yield
    except Overtaken:
        record({"event": "not-done", "action": event["event"]})
        raise
    except OSError as error:
        if current() != before:
            raise _failed(outbox, error, "whether the change survives a power loss is unknown") from error
        with suppress(OSError):  # the state counts; the line only explains the one before it
            record({"event": "not-done", "action": event["event"]})
        raise _failed(outbox, error, _UNCHANGED) from error


@contextmanager
def recorded_of(outbox: Outbox, batch: Batch, event: str, who: str, why: str, **more: str) -> Iterator[None]:
    """``_recorded`` for an action on a batch."""
    record = partial(record_event, outbox, batch)
    entry = {"event": event, "by": who, "why": why, **more}
    with _recorded(outbox, entry, record, lambda: outbox.get(batch.id).state):
        yield


def _finish(outbox: Outbox, batch: Batch) -> None:
    """Move a batch that ended to ``done/``. If that fails, the next sender does it, as the state requires."""
    with suppress(OSError):
        move_to_done(outbox, batch)


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
    with no_sender(outbox):
        batch = outbox.get(name)
        if outcome == "withdraw":
            return withdraw(outbox, batch, who, why)
        require(batch, (states.HELD,))
        target = states.SENT if outcome == "sent" else states.READY
        with recorded_of(outbox, batch, f"resolved-{outcome}", who, why):
            if target == states.READY:
                promotion_note.forget(outbox, batch.id)
            batch = write_state(outbox, batch, name=target, reason="resolved", not_before=0.0)
        if target == states.SENT:
            _finish(outbox, batch)
        return outbox.get(name)


def withdraw(outbox: Outbox, batch: Batch, who: str, why: str) -> Batch:
    """Withdraw a batch, so that the next run treats its rows as new. The caller holds the sender's lock."""
    if batch.folder != "quarantine":
        require(batch, (*states.NEEDS_PERSON, states.PROPOSED, states.READY, states.RETRY))
    lock = outbox.intake_lock()
    if lock is None:
        raise OutboxBusy(
            "another process is submitting rows to this connector",
            where=outbox.path,
            next_step="Try again in a moment.",
        )
    try:
        rows = _rows_of(outbox, batch)
        # On a store, a run that reads the row keys of a batch looks at its state.
        ledger = open_ledger(outbox) if outbox.has_ledger else None
        with recorded_of(outbox, batch, "withdrawn", who, why):
            # Announced first, so that the ledger forgets the rows even if this process dies half way.
            if ledger is not None:
                ledger.announcements.announce(batch.id, [batch.id])
            batch = write_ended(outbox, batch, states.WITHDRAWN, "withdrawn")
        with suppress(OSError, Damaged):  # the announcement stays: the next run removes the rows
            if ledger is not None:
                ledger.remove(rows)
                ledger.announcements.discard(batch.id)
        _finish(outbox, batch)
    finally:
        lock.release()
    return outbox.get(batch.id)


def _rows_of(outbox: Outbox, batch: Batch) -> bytes:
    """The row key records of a batch. Raises BatchDamaged if they are not what was written."""
    try:
        return read_rowkeys(outbox, batch)
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
    with no_sender(outbox):
        batch = outbox.get(name)
        if batch.folder != "quarantine":
            require(batch, (states.DEAD,))
        if batch.state is None or batch.state.name in states.ENDED:
            raise BatchDamaged(
                "what is left of this batch does not say whether it was sent",
                where=batch.path,
                next_step="Keep it for the record. Send its rows again from their source.",
            )
        read_payload(outbox, batch, read_manifest(outbox, batch))
        state, reason = states.READY, "requeued"
        if batch.state.name in (states.COMMIT, states.HELD):
            state, reason = states.HELD, "crash-after-commit"
        elif batch.state.name == states.PROPOSED:
            state = states.PROPOSED  # requeueing is no release
        with recorded_of(outbox, batch, "requeued", who, why):
            batch = write_state(outbox, batch, name=state, reason=reason, not_before=0.0)
        if batch.folder != "quarantine":
            return batch
        try:
            return move_to_ready(outbox, batch)
        except OSError as error:
            raise _failed(outbox, error, "the batch is still quarantined") from error


def require(batch: Batch, wanted: tuple[str, ...]) -> None:
    """Raises OperatorError unless the batch is in one of these states."""
    name = batch.state.name if batch.state else "unreadable"
    if batch.folder == "quarantine":
        name = "QUARANTINED"
    if name not in wanted:
        raise OperatorError(
            f"batch {batch.id[:12]} is {name}, not {' or '.join(wanted)}",
            where=batch.path,
            next_step="Run `irmexport status` to see what each batch needs.",
        )


def resume(outbox: Outbox, *, who: str, why: str = "") -> bool:
    """Reset the circuit breaker and make batches in RETRY due now. Returns whether anything changed.

    Raises OutboxBusy, OutboxFull.
    """
    with no_sender(outbox):
        breaker, number = load_breaker(outbox)
        stopped = breaker.mode != circuit_breaker.CLOSED
        failed = stopped or breaker.doubts or breaker.refusals or breaker.failures
        delayed = [
            batch
            for batch in outbox.ready()
            if batch.state and batch.state.name == states.RETRY and batch.state.not_before
        ]
        if not failed and not delayed:
            return False
        event = {"event": "resumed", "reason": breaker.reason, "by": who, "why": why}
        with _recorded(outbox, event, partial(audit_log.append, outbox), lambda: load_breaker(outbox)[0]):
            if failed:
                store_breaker(outbox, circuit_breaker.CircuitBreaker(), number)
        try:
            for batch in delayed:
                write_state(outbox, batch, not_before=0.0)
        except OSError as error:
            raise _failed(outbox, error, "some batches are still delayed, by an hour at most") from error
        return stopped or bool(delayed)
