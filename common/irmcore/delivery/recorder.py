"""Write down what happens to a batch during a drain.

Order, which MUST hold: first the state, durably; then the event in the audit log, whose loss costs only the
line; then the report and the listener; then the move to ``done/``, which may fail.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from irmcore.delivery.replies import Action, Decision
from irmcore.delivery.report import Listener, Report
from irmcore.errors import BatchDamaged, BatchDenied, OutboxBusy, StoreAway, UnknownFormat
from irmcore.http.outcome import Failure, Outcome
from irmcore.outbox import Batch, Manifest, Outbox, states
from irmcore.outbox.batch_files import read_manifest, read_payload
from irmcore.outbox.transitions import move_to_done, quarantine, record_event, write_state

#: Why a batch is left as it is: the disk fails its state, this user may not read it, or it is too new.
DISK = "disk-error"
DENIED = "no-permission"
UNKNOWN = "unknown-format"

_STATE_AFTER = {
    Action.SENT: states.SENT,
    Action.RETRY: states.RETRY,
    Action.PAUSE: states.RETRY,
    Action.REFRESH: states.RETRY,
    Action.HOLD: states.HELD,
    Action.DEAD: states.DEAD,
    Action.SPLIT: states.SPLIT,
}


class Recorder:
    """Reads and changes batches for one drain, and counts in its ``report``.

    ``known`` has the ids of the batches that the drain has listed, or made by a split.
    """

    def __init__(self, outbox: Outbox, report: Report, listener: Listener) -> None:
        self.outbox = outbox
        self.known: set[str] = set()
        self.report = report
        self.listener = listener

    def read_manifest(self, batch: Batch) -> Manifest | None:
        """The manifest, or None after a batch without a good one was quarantined or left."""
        try:
            return read_manifest(self.outbox, batch)
        except BatchDamaged as error:
            self.quarantine(batch, error.what)
        except UnknownFormat:
            self.report.leave(UNKNOWN)
        except BatchDenied:
            self.report.leave(DENIED)
        return None

    def read_content(self, batch: Batch) -> tuple[Manifest, bytes] | None:
        """Manifest and payload, verified; None after a batch with bad files was quarantined or left."""
        manifest = self.read_manifest(batch)
        if manifest is None:
            return None
        try:
            return manifest, read_payload(self.outbox, batch, manifest)
        except BatchDamaged as error:
            self.quarantine(batch, error.what)
        except BatchDenied:
            self.report.leave(DENIED)
        return None

    def record_outcome(self, batch: Batch, manifest: Manifest, decision: Decision, outcome: Outcome) -> Batch:
        """Write the state that ``decision`` leads to, and everything that follows. Raises OSError."""
        now = self.outbox.clock.now()
        status = 0 if isinstance(outcome, Failure) else outcome.status
        request_id = "" if isinstance(outcome, Failure) else outcome.request_id
        text = "" if isinstance(outcome, Failure) else outcome.text
        name = _STATE_AFTER[decision.action]
        batch = write_state(
            self.outbox,
            batch,
            name=name,
            reason=decision.code + (" flagged" if decision.flagged else ""),
            status=status,
            request_id=request_id,
            not_before=now + decision.wait if name == states.RETRY and decision.wait else 0.0,
        )
        detail: dict[str, Any] = {
            "event": decision.action.value,
            "code": decision.code,
            "status": status,
            "request_id": request_id,
            "attempt": batch.state.attempts if batch.state else 0,
        }
        if decision.flagged:
            detail["flagged"] = "accepted, perhaps in part"
        if decision.action not in (Action.SENT, Action.RETRY):
            detail["reply"] = text[:1000]
        self.record_event(batch, detail)
        self.report.count(decision, manifest, self.outbox.clock.now())
        self.listener(decision.action.value, batch, manifest, detail)
        if name == states.SENT:
            self.finish(batch)
        return batch

    def record_event(self, batch: Batch, event: dict[str, Any]) -> None:
        """Add to the history after the state, which alone counts. A full disk costs only the line."""
        try:
            record_event(self.outbox, batch, event)
        except (OSError, OutboxBusy, StoreAway):
            self.listener("history-lost", batch, read_manifest(self.outbox, batch), {})

    def finish(self, batch: Batch) -> None:
        """Move a batch to ``done/``. If that fails, the next sender does it, as the state requires."""
        try:
            move_to_done(self.outbox, batch)
        except (OSError, StoreAway):
            return

    def quarantine(self, batch: Batch, why: str) -> None:
        """Quarantine a batch with a note of why. If either fails, the next sender tries again."""
        self.report.quarantined += 1
        self.report.trouble = self.report.trouble or "damaged"
        note = partial(record_event, self.outbox, batch, {"event": "quarantined", "reply": why})
        for step in (note, partial(quarantine, self.outbox, batch)):
            try:
                step()
            except (OSError, OutboxBusy, StoreAway):
                continue
