"""Health rows of exports, written to IRMExportHealth_CL after the run's batches were sent.

Every export gets a heartbeat, due or not, so that a missing heartbeat means that the schedule stopped. An
export that read also gets a ``run``, one that failed a ``failed``. All rows of one export and run have the
same result and the same time, because readers of the table take the last row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from irmcore.errors import ConfigurationError
from irmcore.operations.status import ConnectorStatus, connector_status

from irmsentinel.azure import health_events
from irmsentinel.azure.health_events import Event
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


def events(runs: Sequence[ExportRun], now: float, *, heartbeats: bool) -> list[Event]:
    """The rows of these exports. Without ``heartbeats`` (a manual command) only what was done."""
    found = []
    for run in runs:
        overview = connector_status(run.outbox) if run.outbox is not None and run.outbox.exists() else None
        heartbeat = event(run, overview, now)
        found += [heartbeat] if heartbeats else []
        if run.outcome is not None and run.outcome.error is not None:
            found.append(heartbeat.as_event("failed"))
        elif run.outcome is not None and run.outcome.span is not None:
            found.append(heartbeat.as_event("run"))
    return found


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
        last_success=cursor.at.timestamp() if cursor else 0.0,
        lag=max(now - cursor.read_to.timestamp(), 0.0) if cursor else None,
        details=details,
    )
