"""Health rows of exports, written to IRMExportHealth_CL after the run's batches were sent.

Every export gets a heartbeat, due or not, so that a missing heartbeat means that the schedule stopped. An
export that read also gets a ``run``, one that failed a ``failed``. All rows of one export and run have the
same result and the same time, because readers of the table take the last row.
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

from irmsentinel.azure import health_events
from irmsentinel.azure.health_events import Event, HealthWriter
from irmsentinel.azure.ingestion import ReadCredential
from irmsentinel.azure.target import Target
from irmsentinel.collector import settings as collector_settings
from irmsentinel.emulators.collector_session import use_emulator
from irmsentinel.export.outcome import ExportRun


def target(settings: Path, emulator: Path | None) -> Target:
    """Where a collector's settings, or a local emulator, send health rows. Raises ConfigurationError."""
    found, *_ = collector_settings.read(str(settings))
    if emulator is not None:
        found = use_emulator(found, emulator)
    if found.health is None:
        raise ConfigurationError(
            "`health_rule_id` is not set",
            where=str(settings),
            next_step="Set it to the immutable ID of the rule that fills IRMExportHealth_CL.",
        )
    return found.health


class HealthReporter:
    """Writes the health rows of exports."""

    def __init__(
        self,
        target: Target,
        root: str,
        read: ReadCredential,
        origin: Origin,
        *,
        disk: Disk,
        clock: Clock,
        connectors: Connectors,
    ) -> None:
        """``root`` is the directory of the health rows' outbox; ``read`` reads the credential."""
        self._writer = HealthWriter(target, root, read, origin, disk=disk, clock=clock)
        self._connectors = connectors
        self._clock = clock

    def report(self, runs: Sequence[ExportRun], *, heartbeats: bool) -> None:
        """Write and send the rows. Without ``heartbeats`` (a manual command) only what was done.

        Raises OSError, IrmError.
        """
        events = [event for run in runs for event in self._events(run, heartbeats=heartbeats)]
        if heartbeats:
            events += health_events.heartbeats(self._connectors)
        self._writer.report(*events)

    def _events(self, run: ExportRun, *, heartbeats: bool) -> list[Event]:
        outbox = run.outbox if run.outbox is not None and run.outbox.exists() else None
        overview = connector_status(outbox) if outbox else None
        heartbeat = event(run, overview, self._clock.now())
        events = [heartbeat] if heartbeats else []
        if run.outcome is not None and run.outcome.error is not None:
            events.append(heartbeat.as_event("failed"))
        elif run.outcome is not None and run.outcome.span is not None:
            events.append(heartbeat.as_event("run"))
        return events


def event(run: ExportRun, overview: ConnectorStatus | None, now: float) -> Event:
    """The heartbeat of an export: its outcome, and the status of its connector's outbox after the run."""
    cursor, outcome = run.cursor(), run.outcome
    base = Event("export", run.name, "heartbeat", "ok")
    if overview is not None:
        base = replace(health_events.heartbeat(overview, component="export"), name=run.name, rows=0)
    if outcome is not None and outcome.error is not None:
        base = replace(base, result="failed", reason=str(outcome.error["kind"]))
    no_rows = cursor.no_rows if cursor else None
    if no_rows is not None and not base.reason:
        base = replace(base, reason=no_rows.reason)
    details: dict[str, object] = {"aggregation": run.aggregation, "workspace": run.workspace}
    if overview is not None:
        details["connector"] = overview.name
    if outcome is not None:
        details |= {"window": str(outcome.span) if outcome.span else None, "queries": outcome.queries}
        details |= {"made": outcome.batches, "changed": outcome.changed, **outcome.counts.as_dict()}
    if cursor is not None:
        details["read_to"] = cursor.read_to.isoformat()
    if no_rows is not None:
        details["source"] = no_rows.text
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
