"""Decide about an outbox that was copied, restored or moved: adopt it where it is, or retire it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from irmcore.errors import OperatorError, OutboxBusy
from irmcore.outbox import Outbox, audit_log, guard, states
from irmcore.outbox.transitions import record_event, write_state


@contextmanager
def exclusive(outbox: Outbox) -> Iterator[None]:
    """Hold both locks of an outbox. Raises OutboxBusy."""
    held = []
    try:
        for take in (outbox.sender_lock, outbox.intake_lock):
            lock = take()
            if lock is None:
                raise OutboxBusy(
                    "another process is sending or accepting rows for this connector",
                    where=outbox.path,
                    next_step="Nothing was changed. Run this again when it has ended.",
                )
            held.append(lock)
        yield
    finally:
        for lock in held:
            lock.release()


def adopt(outbox: Outbox, *, send: bool, who: str, why: str) -> int:
    """Let an outbox accept and send here, and count a new epoch. Returns how many batches are HELD for it.

    Its states may be older than what the service has. So each batch that a drain would send becomes HELD,
    unless ``send`` says that this is the only copy, and complete. Raises OperatorError if it is where it was
    made or was retired, PlaceRefused on a network file system, OutboxBusy, DamageError, OSError.
    """
    place = outbox.disk.place(outbox.path)
    guard.refuse_network(place.file_system, outbox.path)
    with exclusive(outbox):
        known = outbox.check_format()
        lacking = outbox.rolled_back()
        difference = known.difference(place) or (f"this outbox lacks {lacking}" if lacking else "")
        if known.retired or not difference:
            raise OperatorError(
                "this outbox is retired" if known.retired else "this outbox is where it was made",
                where=outbox.path,
                next_step="There is nothing to adopt. See `irmexport status`.",
            )
        event = {"event": "adopted", "by": who, "why": why, "because": difference, "epoch": known.epoch + 1}
        audit_log.append(outbox, event)
        held = 0
        for batch in outbox.ready() if not send else []:
            if batch.state is not None and batch.state.name in states.LIVE and not batch.damaged:
                record_event(outbox, batch, {"event": "adopted", "by": who, "why": why})
                write_state(outbox, batch, name=states.HELD, reason="adopted", not_before=0.0)
                held += 1
        # Last: until this is durable, nothing is sent.
        outbox.save_identity(known.moved(place))
        return held


def retire(outbox: Outbox, *, who: str, why: str) -> None:
    """Let an outbox never accept or send again. Raises OutboxBusy, DamageError, OSError."""
    with exclusive(outbox):
        known = outbox.check_format()
        audit_log.append(outbox, {"event": "retired", "by": who, "why": why})
        outbox.save_identity(replace(known, retired=True))
