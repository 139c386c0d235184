"""The Sentinel steps of `irmexport demo`. All data is made up and stays on this machine.

The steps run functions on sample tables, export aggregations to the connector and collect IRM alerts.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from irmcli.extras import sentinel_extra
from irmcli.output import Output
from irmcli.session.connector_session import ConnectorSession
from irmcli.settings import Settings
from irmcore.errors import ConfigurationError

from irmsentinel.cli.result_output import select_columns, show_result, sorted_by_time
from irmsentinel.content import aggregations, artefacts, rules, samples
from irmsentinel.export.export import Export
from irmsentinel.kql import calls

if TYPE_CHECKING:
    from irmsentinel.export.sources import Folder

#: Functions to run; answers.json has the expected rows.
SHOWN = ("IRMAlerts", "IRMAlertsSignins", "IRMAlertsAuditLogs")
#: Hunting queries to run; its file has the people whom each must find.
HUNTED = ("IRMFilesToUsbAroundAlert", "IRMMassDeletionAroundAlert", "IRMLeaverAnomalies")
#: Aggregations to export, and the rows that the connector must save, in any order.
EXPORTED = ("sentinel-alerts", "okta", "dropbox", "web-proxy")
SAVED = {
    ("meganb@contoso.com", "Sentinel", "Mass deletion of files", "1"),
    ("sarad@contoso.com", "Okta", "Created an API token", "1"),
    ("sarad@contoso.com", "Okta", "Removed a sign-in factor", "1"),
    ("bradh@contoso.com", "Dropbox", "Downloaded", "2"),
    ("sarad@contoso.com", "Dropbox", "Shared", "1"),
    ("sarad@contoso.com", "WebProxy", "MB uploaded to dropbox.com", "64"),
}


def run(output: Output, settings: Settings, root: Path) -> list[tuple[str, bool]]:
    """Run all steps under ``root``; the emulator of the connector runs with ``root``/emulator."""
    try:
        with sentinel_extra():
            from irmsentinel.cli import demo_canary, demo_collect
            from irmsentinel.export import sources
            from irmsentinel.kql import local
    except ConfigurationError as missing:
        output.line(f"Skipping the Sentinel steps: {missing}", "dim")
        return []
    loaded = artefacts.load()
    folder = root / "tables"
    written = samples.write(loaded.root, folder, seed=1, people=50)
    known = samples.answers(loaded.root)
    output.line()
    output.line("IRM alerts in Sentinel's tables (made up), queried on this machine", "bold")
    output.line(f"{sum(written.values()):,} rows in {len(written)} tables, {folder}", "dim")
    results = []
    engine, now = local.open_folder(loaded, folder)
    with engine:
        for name in SHOWN:
            answer = known[name]
            result = sorted_by_time(engine.run(calls.text(loaded.named(name), {}), now=now))
            result = select_columns(result, ",".join(answer.columns))
            output.line()
            show_result(output, name, result)
            same = sorted(map(repr, map(list, result.rows))) == sorted(map(repr, answer.rows))
            expected = "as expected" if same else "NOT AS EXPECTED"
            results.append((f"{name}: {len(result.rows)} rows of made-up tables, {expected}", same))
        story, hunting = samples.story(loaded.root), rules.with_rules(loaded)
        for name in HUNTED:
            found = samples.people(engine.run(hunting.named(name).body, now=story[name].at))
            same = found == story[name].who
            expected = "as expected" if same else "NOT AS EXPECTED"
            results.append((f"{name}: finds {', '.join(found)}, {expected}. {story[name].why}", same))
    tables = sources.folder(loaded, folder)
    try:
        results.append(_export(output, settings, root, tables))
    finally:
        tables.close()
    return [*results, demo_collect.run(output, root), demo_canary.run(output, settings, root)]


def _export(output: Output, settings: Settings, root: Path, tables: Folder) -> tuple[str, bool]:
    """Export aggregations of the sample tables through the outbox to the connector's emulator."""
    output.line()
    output.line("From Sentinel to the connector: activities per user and day of the same tables", "bold")
    saved: dict[str, list[dict[str, str]]] = {}
    for name in EXPORTED:
        aggregation = aggregations.named(name)
        output.line(
            f"irmexport sentinel export {name} --local {tables.path} --emulator {root}/emulator", "dim"
        )
        profile = settings.profile(aggregation.profile)
        session = ConnectorSession.of(output, settings, profile, str(root / "emulator"))
        Export(aggregation, tables, session, on_accepted=partial(session.show, dry=False)).run(tables.now)
        session.drain()
        job = session.outbox.path.rpartition("/")[2].removeprefix("emulator-")
        records = (root / "emulator" / f"records-{job}.jsonl").read_text(encoding="utf-8")
        saved[aggregation.profile] = [json.loads(line)["fields"] for line in records.splitlines()]
    facts = set()
    for name, rows in saved.items():
        output.table(f"What the emulator saved ({name})", list(rows[0]), [list(row.values()) for row in rows])
        facts |= {(cells[0], cells[2], cells[3], cells[-1]) for cells in (list(row.values()) for row in rows)}
    same = facts == SAVED and sum(map(len, saved.values())) == len(SAVED)
    expected = "as expected" if same else "NOT AS EXPECTED"
    return f"Sentinel export: {len(facts)} rows of {len(EXPORTED)} aggregations, {expected}", same
