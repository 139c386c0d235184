"""What the exports of a run tell IRMExportHealth_CL, once the run's batches were sent.

A heartbeat each, also of one that was not due: a schedule that stopped is silent, a quiet day is not. And a
``run`` of one that read, or a ``failed``. All rows of one export and run have the same result: they have the
same time too, and what reads them takes the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from irmcore.clock import Clock
from irmcore.disk import Disk
from irmcore.errors import ConfigurationError
from irmcore.operations.connectors import Connectors
from irmcore.operations.status import ConnectorStatus, connector_status
from irmcore.outbox import Origin

from irmsentinel.azure import health_events as health
from irmsentinel.azure import ingestion
from irmsentinel.azure.health_events import Event
from irmsentinel.azure.ingestion import Target
from irmsentinel.collector import settings as collector_settings
from irmsentinel.emulators.collector_session import use_emulator
from irmsentinel.export.export import ExportRun


def target(settings: Path, emulator: Path | None) -> Target:
    """Where a collector's settings send health rows, or a local stand-in. Raises ConfigurationError."""
    found = collector_settings.read(str(settings))
    if emulator is not None:
        found = use_emulator(found, emulator)
    if found.health is None:
        raise ConfigurationError(
            "`health_rule_id` is not set",
            where=str(settings),
            next_step="It is the rule that fills IRMExportHealth_CL.",
        )
    return found.health


class HealthReporter:
    """Writes what exports came to."""

    def __init__(
        self,
        where: Target,
        root: str,
        read: ingestion.Read,
        origin: Origin,
        *,
        disk: Disk,
        clock: Clock,
    ) -> None:
        """``root`` is the outbox directory; ``read`` gives the credential."""
        self._writer = health.Writer(where, root, read, origin, disk=disk, clock=clock)
        self._connectors = Connectors(disk, clock, root)
        self._clock = clock

    def report(self, ran: Sequence[ExportRun], *, heartbeats: bool) -> None:
        """Write and send; without ``heartbeats`` (a command by hand: no later one need follow) what was done.

        Raises OSError, IrmError.
        """
        events = [event for one in ran for event in self._events(one, heartbeats=heartbeats)]
        if heartbeats:
            events += health.heartbeats(self._connectors)
        self._writer.report(*events)

    def _events(self, ran: ExportRun, *, heartbeats: bool) -> list[Event]:
        there = ran.outbox is not None and ran.outbox.exists()
        heartbeat = event(
            ran, connector_status(ran.outbox) if ran.outbox and there else None, self._clock.now()
        )
        events = [heartbeat] if heartbeats else []
        if ran.outcome is not None and ran.outcome.error is not None:
            events.append(heartbeat.as_("failed"))
        elif ran.outcome is not None and ran.outcome.span is not None:
            events.append(heartbeat.as_("run"))
        return events


def event(ran: ExportRun, overview: ConnectorStatus | None, now: float) -> Event:
    """The heartbeat of an export: its outcome, and how its connector's outbox stands after the run."""
    cursor, outcome = ran.cursor(), ran.outcome
    base = Event("export", ran.name, "heartbeat", "ok")
    if overview is not None:
        base = replace(health.heartbeat(overview, component="export"), name=ran.name, rows=0)
    if outcome is not None and outcome.error is not None:
        base = replace(base, result="failed", reason=str(outcome.error["kind"]))
    details: dict[str, object] = {"aggregation": ran.aggregation, "workspace": ran.workspace}
    if overview is not None:
        details["connector"] = overview.name
    if outcome is not None:
        details |= {"window": str(outcome.span) if outcome.span else None, "queries": outcome.queries}
        details |= {"made": outcome.batches, "changed": outcome.changed, **outcome.counts.as_dict()}
    if cursor is not None:
        details["read_to"] = cursor.read_to.isoformat()
    return replace(
        base,
        rows=outcome.counts.shaped if outcome else 0,
        failed=outcome.counts.rejected if outcome else 0,
        last_success=_seconds(cursor.at) if cursor else 0.0,
        lag=max(now - _seconds(cursor.read_to), 0.0) if cursor else None,
        details=details,
    )


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
