"""One round of the collector, and the health events that report it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from irmcore.errors import IrmError
from irmcore.operations.status import ConnectorStatus

from irmsentinel.azure.health_events import Event
from irmsentinel.collector.result import CollectResult

#: Called after each part that became durable: what was collected, how many rows were acknowledged.
RoundProgress = Callable[[CollectResult, int], None]


@dataclass(frozen=True)
class Round:
    """The outcome of a round.

    ``acknowledged_rows``: rows that the workspace acknowledged during the round; ``acknowledged``: the time
    until which it has acknowledged everything (seconds since 1970); ``overview``: of the outbox after the
    round.
    """

    collected: CollectResult
    acknowledged_rows: int
    acknowledged: int
    overview: ConnectorStatus

    @property
    def succeeded(self) -> bool:
        """Whether everything was collected and acknowledged."""
        return self.collected.complete and not self.overview.queued and not self.overview.needs_person


def events(result: Round, name: str, *, now: float, last_success: float) -> list[Event]:
    """The health events of a round: a heartbeat, and what else happened."""
    done, overview = result.collected, result.overview
    held = sum(item.state in ("HELD", "DEAD", "QUARANTINED") for item in overview.items)
    state = "held" if overview.needs_person else "ok" if result.succeeded else "waiting"
    heartbeat = Event(
        component="collector",
        name=name,
        event="heartbeat",
        result=state,
        reason=overview.reason or done.trouble or next((item.reason for item in overview.items), ""),
        rows=done.new,
        batches=overview.queued,
        held=held,
        failed=done.failed,
        oldest=overview.oldest,
        last_success=last_success,
        lag=max(now - result.acknowledged, 0.0) if result.acknowledged else None,
        details={
            "collected": done.collected,
            "fetched": done.fetched,
            "gone": done.gone,
            "cut": done.cut,
        },
    )
    found = [heartbeat]
    if done.new or done.failed:
        found.append(heartbeat.as_event("run"))
    if held:
        found.append(heartbeat.as_event("held"))
    found.extend(
        Event("collector", name, "gap", "failed", reason=gap.why, details=vars(gap)) for gap in done.gaps
    )
    return found


def failed(error: IrmError, name: str) -> Event:
    """The health event of a round that ended with an error."""
    reason = error.where or type(error).__name__
    return Event("collector", name, "failed", "failed", reason=reason[:100])
