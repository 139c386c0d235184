"""Print the outcome of an export, and report it to IRMExportHealth_CL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irmcli.exit_codes import known_error
from irmcli.extras import sentinel_extra
from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings
from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.errors import IrmError

from irmsentinel.content.aggregations import iso
from irmsentinel.export.outcome import ExportRun, Outcome


def show_outcome(output: Output, outcome: Outcome, *, dry: bool) -> None:
    """Print what was read and how many rows changed."""
    if outcome.span is None:
        read_to = iso(outcome.read_to) if outcome.read_to else "the beginning"
        output.line(f"{outcome.aggregation}: no window has closed since {read_to}")
        return
    queries = "1 query" if outcome.queries == 1 else f"{outcome.queries} queries"
    output.line(
        f"{outcome.aggregation}: read {iso(outcome.span.start)} to {iso(outcome.span.end)} in {queries}"
    )
    if outcome.no_rows:
        output.warn(f"{outcome.aggregation} of {outcome.workspace}: no rows: {outcome.no_rows.text}")
    if outcome.changed and not dry:
        output.line(
            f"  {outcome.changed:,} rows were sent before with another number: late data (docs/sentinel.md)"
        )


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON values."""
    plain = asdict(outcome)
    plain["counts"] = outcome.counts.as_dict()
    plain["span"] = str(outcome.span) if outcome.span else None
    for key in ("started", "ended", "read_to"):
        at = getattr(outcome, key)
        plain[key] = iso(at) if at else None
    return plain


def failed_outcome(
    aggregation: str, workspace: str, started: datetime, raised: IrmError | OSError
) -> Outcome:
    """The outcome of an export that raised."""
    error = known_error(raised)
    told = {"what": error.what, "where": error.where, "next_step": error.next_step}
    return Outcome(
        aggregation, workspace, "", started, datetime.now(UTC), error={"kind": type(raised).__name__, **told}
    )


def report_health(
    output: Output,
    settings: Settings,
    ran: Sequence[ExportRun],
    *,
    file: Path | None,
    emulator: Path | None,
    heartbeats: bool,
) -> None:
    """Report what the exports did, if ``file`` (a collector's settings) is given.

    A failure to report is a warning, never an error: the export itself is done.
    """
    if file is None:
        return
    try:
        with sentinel_extra():
            from irmsentinel.azure import health_events
            from irmsentinel.export import health
        clock = SystemClock()
        writer = health_events.HealthWriter(
            health.target(file, emulator),
            settings.outbox_ready(),
            settings.credential,
            settings.origin({}),
            disk=system_disk(),
            clock=clock,
        )
        events = health.events(ran, clock.now(), heartbeats=heartbeats)
        others = health_events.heartbeats(connectors_of(settings)) if heartbeats else []
        writer.report(*events, *others)
    except (IrmError, OSError) as raised:
        output.warn(f"IRMExportHealth_CL was not written: {known_error(raised)}")
