"""What the connector's log in the portal has of each upload, and which differences nobody has explained."""

from __future__ import annotations

from typing import Any, NamedTuple

from irmcore.operations.operations import no_sender
from irmcore.outbox import Outbox, audit_log, states
from irmcore.outbox.transitions import record_event

_EVENT = "reconciled"


class Difference(NamedTuple):
    """An upload of ``rows`` rows, of which the log has ``saved``; None if it has no entry for the upload."""

    batch: str
    rows: int
    saved: int | None


def record(outbox: Outbox, name: str, saved: int | None, *, rows: int, who: str, why: str = "") -> None:
    """Record that the portal's log has ``saved`` of the ``rows`` rows of a batch. The state stays as it is.

    ``why``: a person's explanation of a difference. Raises OperatorError, OutboxBusy.
    """
    event: dict[str, Any] = {"event": _EVENT, "saved": saved, "rows": rows, "by": who}
    with no_sender(outbox):
        record_event(outbox, outbox.get(name), {**event, "why": why} if why else event)


def differences(outbox: Outbox) -> tuple[Difference, ...]:
    """The uploads whose last comparison found a difference that nobody has explained. Raises OSError.

    A batch that was sent, or decided about, after its last comparison has none. On a store, only the newest
    events are read.
    """
    found = []
    for event in audit_log.newest_by_batch(outbox, _EVENT).values():
        one = Difference(event["batch"], event.get("rows", event["saved"]), event["saved"])
        if one.rows == one.saved or event.get("why"):
            continue  # versions before 0.2 recorded no rows
        batch = outbox.find(one.batch)
        state = batch.state if batch is not None else None
        if state is not None and state.name == states.SENT and state.at <= event["at"]:
            found.append(one)
    return tuple(found)
