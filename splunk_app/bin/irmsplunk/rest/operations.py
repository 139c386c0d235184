"""What an administrator asks and does at the queue, through REST: Splunk Cloud has no shell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from irmcore.clock import Clock
from irmcore.disk import system_disk
from irmcore.errors import ConfigurationError, OperatorError
from irmcore.operations import operations
from irmcore.operations.audit import describe
from irmcore.operations.connectors import Connectors, profile_of
from irmcore.operations.status import connector_status

from irmsplunk.splunk import heartbeat

_OUTCOMES = ("sent", "resend", "withdraw")


class QueueRoutes:
    """The desk over this search head's outbox."""

    def __init__(self, root: str, clock: Clock) -> None:
        self._root = root
        self._clock = clock
        self._connectors = Connectors(system_disk(), clock, root)

    def queue(self) -> dict[str, Any]:
        """Every connector of this search head, and whether the sender lives."""
        age = heartbeat.age(self._root, self._clock.now())
        return {
            "sender": {
                "alive": heartbeat.alive(self._root, self._clock.now()),
                "seconds_since_sign_of_life": None if age is None else round(age),
            },
            "connectors": [self._overview(outbox) for outbox in self._connectors.outboxes()],
        }

    def _overview(self, outbox: Any) -> dict[str, Any]:
        overview = {"connector": profile_of(outbox), **asdict(connector_status(outbox))}
        del overview["path"]
        return overview

    def held(self) -> dict[str, Any]:
        """The batches that need a person, of all connectors."""
        found = []
        for outbox in self._connectors.outboxes():
            name, overview = profile_of(outbox), connector_status(outbox)
            found += [{"connector": name or overview.name, **asdict(item)} for item in overview.items]
        return {"batches": found}

    def batch(self, prefix: str) -> dict[str, Any]:
        """All that is on record of a batch; not its payload."""
        outbox, batch = self._connectors.find_batch(prefix)
        return describe(outbox, batch)

    def resolve(self, prefix: str, form: Mapping[str, str], who: str) -> dict[str, Any]:
        """End a held batch: sent, resend or withdraw."""
        outcome = form.get("outcome", "")
        if outcome not in _OUTCOMES:
            raise ConfigurationError(
                "`outcome` says nothing that is known",
                where="resolve",
                next_step=f"It is one of {', '.join(_OUTCOMES)}.",
            )
        outbox, batch = self._connectors.find_batch(prefix)
        after = operations.resolve(outbox, batch.id, outcome, who=who, why=_why(form))
        return {"batch": after.id, "state": after.state.name if after.state else "unknown"}

    def requeue(self, prefix: str, form: Mapping[str, str], who: str) -> dict[str, Any]:
        """Put a dead or quarantined batch back."""
        outbox, batch = self._connectors.find_batch(prefix)
        after = operations.requeue(outbox, batch.id, who=who, why=_why(form))
        return {"batch": after.id, "state": after.state.name if after.state else "unknown"}

    def resume(self, name: str) -> dict[str, Any]:
        """Open the gate of a connector's outboxes."""
        found = [outbox for outbox in self._connectors.outboxes() if profile_of(outbox) == name]
        if not found:
            raise OperatorError(
                "this connector has no outbox on this search head",
                where=name,
                next_step="It gets one with the first rows.",
            )
        return {"resumed": sum(operations.resume(outbox) for outbox in found)}

    def resume_if_there(self, name: str) -> None:
        """After a new secret: what waits for it may go at once."""
        for outbox in self._connectors.outboxes():
            if profile_of(outbox) == name:
                operations.resume(outbox)


def _why(form: Mapping[str, str]) -> str:
    why = form.get("why", "").strip()
    if not why:
        raise ConfigurationError(
            "`why` is empty", where="why", next_step="Say why; it goes into the audit record."
        )
    return why[:500]
