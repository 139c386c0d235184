"""The collector's step of `irmexport demo`: made-up alerts, from the emulated API to IRMAlerts."""

from __future__ import annotations

from pathlib import Path

from irmcli.output import Output
from irmcore.clock import SystemClock
from irmcore.disk import make_dirs, system_disk
from irmcore.outbox import Origin

from irmsentinel.cli.collector_output import show_round
from irmsentinel.cli.result_output import select_columns, show_result, sorted_by_time
from irmsentinel.collector.service import CollectorService
from irmsentinel.collector.settings import TABLES, parse
from irmsentinel.content import artefacts
from irmsentinel.emulators.collector_session import (
    read_secret,
    running_emulator,
    settings_text,
    use_emulator,
)
from irmsentinel.kql import calls, local

_ALERTS = 5
_COLUMNS = "SourceTable,AlertName,Severity,IrmStatus"


def run(output: Output, root: Path) -> tuple[str, bool]:
    """Collect twice from an emulator under ``root``; each record must arrive exactly once."""
    output.line()
    output.line(
        "Collecting IRM alerts and activities: APIs → outbox → tables → IRMAlerts (made-up records)",
        "bold",
    )
    outbox = str((root / "outbox").absolute())
    make_dirs(system_disk(), outbox)
    origin = Origin("demo", "here", "collector", {})
    with running_emulator(root / "tenant", alerts=_ALERTS, subscribed=True) as emulator:
        services = [
            CollectorService(
                use_emulator(settings, root / "tenant"),
                outbox, read_secret, origin, disk=system_disk(), clock=SystemClock(),
            )
            for settings in parse(settings_text(), "collector.yaml", "all")
        ]  # fmt: skip

        def rounds(*, backfill: bool) -> int:
            more = " --backfill" if backfill else ""
            output.line("irmexport sentinel collect --once" + more, "dim")
            new = 0
            for service in services:
                done = service.round(backfill=backfill)
                show_round(output, done, service.settings.source)
                new += done.collected.new
            return new

        first, second = rounds(backfill=False), rounds(backfill=True)
        rows = sum(len(emulator.ingestion.rows[table]) for table in TABLES.values())
    loaded = artefacts.load()
    engine, now = local.open_folder(loaded, root / "tenant" / "tables")
    with engine:
        found = engine.run(calls.text(loaded.named("IRMAlerts"), {}), now=now)
    show_result(output, "IRMAlerts", select_columns(sorted_by_time(found), _COLUMNS))
    good = len(found.rows) == _ALERTS * 2 and second == 0 and rows == first
    text = (
        f"collected: {rows} records acknowledged once, {_ALERTS} alerts in each of 2 tables, activities in 2"
    )
    return (text if good else f"{text}: WRONG", good)
