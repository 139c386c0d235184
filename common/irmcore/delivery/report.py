"""What one drain did: the counts, and the listener that is notified of each batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from irmcore.delivery.replies import Action, Decision
from irmcore.outbox import Batch, Manifest


class Listener(Protocol):
    """Notified of what happens to each batch. ``event`` is start, history-lost, or an Action's value."""

    def __call__(self, event: str, batch: Batch, manifest: Manifest, detail: Mapping[str, Any]) -> None: ...


def log_fields(batch: Batch, manifest: Manifest, detail: Mapping[str, Any], now: float) -> dict[str, Any]:
    """What a log line says of an event. Never the reply's text: it may quote a row."""
    fields = {"run": manifest.run, "batch": batch.id[:12], "rows": manifest.rows}
    fields.update((key, detail[key]) for key in ("code", "status", "request_id", "attempt") if key in detail)
    return {**fields, "seconds": round(max(0.0, now - manifest.accepted), 3)}


def ignore_events(event: str, batch: Batch, manifest: Manifest, detail: Mapping[str, Any]) -> None:
    """A listener that does nothing."""


@dataclass
class Report:
    """What one drain did.

    ``queued`` batches are left to be sent without anybody's help; ``due`` is when the next one may go
    (seconds since 1970), or None. If the time was up, batches that were not read count as queued, whatever
    their state. ``proposed`` ones wait for a person. ``trouble`` is the code of the first problem.
    ``another_sender`` is at work, and this drain did nothing.
    """

    sent: int = 0
    rows_sent: int = 0
    retrying: int = 0
    held: int = 0
    dead: int = 0
    split: int = 0
    quarantined: int = 0
    queued: int = 0
    proposed: int = 0
    trouble: str = ""
    advice: str = ""
    due: float | None = None
    another_sender: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, under the names that scripts and dashboards read."""
        return {"waiting" if name == "queued" else name: value for name, value in vars(self).items()}

    def leave(self, trouble: str, batches: int = 1) -> None:
        """Count batches that stay as they are."""
        self.queued += batches
        self.trouble = self.trouble or trouble

    def count(self, decision: Decision, manifest: Manifest, now: float) -> None:
        """Count a batch that ended with ``decision``."""
        if decision.action is Action.SENT:
            self.sent += 1
            self.rows_sent += manifest.rows
        elif decision.action is Action.HOLD:
            self.held += 1
            self.trouble = self.trouble or decision.code
        elif decision.action is Action.DEAD:
            self.dead += 1
            self.trouble = self.trouble or decision.code
        elif decision.action is Action.SPLIT:
            self.split += 1
        else:
            self.retrying += 1
            self.leave(decision.code)
            if decision.wait:
                at = now + decision.wait
                self.due = at if self.due is None else min(self.due, at)
