"""Report the outcomes of exports to IRMExportHealth_CL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from irmcli.exit_codes import known_error
from irmcli.extras import sentinel_extra
from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings
from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.errors import IrmError

from irmsentinel.export.outcome import ExportRun


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
            from irmsentinel.export import health
        reporter = health.HealthReporter(
            health.target(file, emulator),
            settings.outbox_ready(),
            settings.credential,
            settings.origin({}),
            disk=system_disk(),
            clock=SystemClock(),
            connectors=connectors_of(settings),
        )
        reporter.report(ran, heartbeats=heartbeats)
    except (IrmError, OSError) as raised:
        output.warn(f"IRMExportHealth_CL was not written: {known_error(raised)}")
