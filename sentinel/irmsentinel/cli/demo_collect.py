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
from irmsentinel.collector.settings import parse
from irmsentinel.content import artefacts
from irmsentinel.emulators.collector_session import (
    read_secret,
    running_emulator,
    settings_text,
    use_emulator,
)
from irmsentinel.kql import calls, local

_ALERTS = 12
_COLUMNS = "AlertName,Severity,IrmStatus"


def run(output: Output, root: Path) -> tuple[str, bool]:
    """Collect twice from an emulator under ``root``; each record must arrive exactly once."""
    output.line()
    output.line(
        "Collecting IRM alerts: Management API → outbox → table → IRMAlerts (made-up records)", "bold"
    )
    outbox = str((root / "outbox").absolute())
    make_dirs(system_disk(), outbox)
    with running_emulator(root / "tenant", alerts=_ALERTS) as emulator:
        settings = use_emulator(parse(settings_text(), "collector.yaml"), root / "tenant")
        origin = Origin("demo", "here", "collector", {})
        service = CollectorService(
            settings, outbox, read_secret, origin, disk=system_disk(), clock=SystemClock()
        )
        output.line("irmexport sentinel subscribe start; irmexport sentinel collect --once", "dim")
        service.feed.start()
        first = service.round()
        show_round(output, first)
        output.line("irmexport sentinel collect --once --backfill", "dim")
        second = service.round(backfill=True)
        show_round(output, second)
        rows = len(emulator.ingestion.rows["Compliance_IRM_AuditGeneral_CL"])
    loaded = artefacts.load()
    engine, now = local.open_folder(loaded, root / "tenant" / "tables")
    with engine:
        found = engine.run(calls.text(loaded.named("IRMAlerts"), {}), now=now)
    show_result(output, "IRMAlerts", select_columns(sorted_by_time(found), _COLUMNS))
    good = len(found.rows) == _ALERTS and second.collected.new == 0 and rows == first.collected.new
    text = f"collected: {rows} records acknowledged once, {len(found.rows)} alerts of {_ALERTS}"
    return (text if good else f"{text}: WRONG", good)
