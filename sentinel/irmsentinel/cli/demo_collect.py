"""The collector's act of `irmexport demo`: made-up alerts, from the API's stand-in to IRMAlerts."""

from __future__ import annotations

from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.disk import make_dirs, system_disk
from irmcore.errors import ConfigurationError
from irmcore.outbox import Origin

from irmsentinel.cli import extra
from irmsentinel.cli import sentinel as command
from irmsentinel.cli.voice import Voice
from irmsentinel.content import artefacts as content
from irmsentinel.kql import calls

_ALERTS = 12


def act(output: Voice, place: Path) -> list[tuple[str, bool]]:
    """Collect from a stand-in under ``place``, twice, and count what arrived."""
    try:
        with extra.needed():
            from irmsentinel.cli import collect as collect_command
            from irmsentinel.collector import settings as collector_settings
            from irmsentinel.collector.service import CollectorService
            from irmsentinel.emulators.collector_session import (
                read_secret,
                running_emulator,
                settings_text,
                use_emulator,
            )
            from irmsentinel.kql import local
    except ConfigurationError:
        return []  # the Sentinel act says what to install
    output.line()
    output.line(
        "IRM alerts collected: Management API → outbox → table → IRMAlerts (records all made up)", "bold"
    )
    outbox = str((place / "outbox").absolute())
    make_dirs(system_disk(), outbox)
    with running_emulator(place / "tenant", alerts=_ALERTS) as running:
        settings = use_emulator(collector_settings.parse(settings_text(), "collector.yaml"), place / "tenant")
        origin = Origin("demo", "here", "collector", {})
        station = CollectorService(
            settings, outbox, read_secret, origin, disk=system_disk(), clock=SystemClock()
        )
        output.line("irmexport sentinel subscribe start; irmexport sentinel collect --once", "dim")
        station.feed.start()
        first = station.round()
        collect_command.show(output, first)
        second = station.round(backfill=True)
        output.line("the same once more, with --backfill", "dim")
        collect_command.show(output, second)
        rows = len(running.ingestion.rows["Compliance_IRM_AuditGeneral_CL"])
    engine, now = local.open_folder(content.load(), place / "tenant" / "tables")
    with engine:
        found = engine.run(calls.text(content.load().named("IRMAlerts"), {}), now=now)
    command.show(output, "IRMAlerts", command.chosen(command.in_order(found), "AlertName,Severity,IrmStatus"))
    good = len(found.rows) == _ALERTS and second.collected.new == 0 and rows == first.collected.new
    said = f"{rows} records acknowledged once, {len(found.rows)} alerts of {_ALERTS}"
    return [(f"collected: {said}" if good else f"collected: {said}: WRONG", good)]
