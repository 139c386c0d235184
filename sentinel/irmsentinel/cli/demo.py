"""The Sentinel acts of `irmexport demo`: IRM alerts meet sign-ins and audit events, and activities go to the
connector. All made up, all on this machine.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from irmcore.errors import ConfigurationError

from irmsentinel.cli import extra
from irmsentinel.cli import host as hosts
from irmsentinel.cli import sentinel as command
from irmsentinel.cli.voice import Voice
from irmsentinel.content import aggregations, samples
from irmsentinel.content import artefacts as content
from irmsentinel.export.export import Export
from irmsentinel.kql import calls

if TYPE_CHECKING:
    from irmsentinel.export.sources import Folder

#: What is shown of each function; answers.json has what must come out.
SHOWN = ("IRMAlerts", "IRMAlertsSignins", "IRMAlertsAuditLogs")
#: What is exported of the sample tables, and what the connector must keep of it, in any order.
EXPORTED = ("sentinel-alerts", "okta", "dropbox", "web-proxy")
KEPT = {
    ("meganb@contoso.com", "Sentinel", "Mass deletion of files", "1"),
    ("sarad@contoso.com", "Okta", "Created an API token", "1"),
    ("sarad@contoso.com", "Okta", "Removed a sign-in factor", "1"),
    ("bradh@contoso.com", "Dropbox", "Downloaded", "2"),
    ("sarad@contoso.com", "Dropbox", "Shared", "1"),
    ("sarad@contoso.com", "WebProxy", "MB uploaded to dropbox.com", "64"),
}


def act(output: Voice, place: Path) -> list[tuple[str, bool]]:
    """Show the functions on sample tables written to `place`, and what each came to."""
    try:
        with extra.needed():
            from irmsentinel.export import sources
            from irmsentinel.kql import local
    except ConfigurationError as missing:
        output.line(f"Without the Sentinel act: {missing}", "dim")
        return []
    loaded = content.load()
    folder = place / "tables"
    written = samples.write(loaded.root, folder, seed=1, people=50)
    known = samples.answers(loaded.root)
    output.line()
    output.line("The other way: IRM alerts in Sentinel's tables (all made up), run on this machine", "bold")
    output.line(f"{sum(written.values()):,} rows in {len(written)} tables, {folder}", "dim")
    verdicts = []
    engine, now = local.open_folder(loaded, folder)
    with engine:
        for name in SHOWN:
            answer = known[name]
            result = command.in_order(engine.run(calls.text(loaded.named(name), {}), now=now))
            result = command.chosen(result, ",".join(answer.columns))
            output.line()
            command.show(output, name, result)
            same = sorted(map(repr, map(list, result.rows))) == sorted(map(repr, answer.rows))
            said = f"{name}: {len(result.rows)} rows on made-up tables"
            verdicts.append((f"{said}, the known answer" if same else f"{said}, NOT THE KNOWN ANSWER", same))
    tables = sources.folder(loaded, folder)
    try:
        verdicts.append(_exported(output, place, tables))
    finally:
        tables.close()
    return verdicts


def _exported(output: Voice, place: Path, tables: Folder) -> tuple[str, bool]:
    """Activities of the sample tables, aggregated by KQL, through the outbox to the connector's stand-in."""
    host = hosts.of(click.get_current_context())
    output.line()
    output.line("From Sentinel to the connector: activities per user and day of the same tables", "bold")
    kept: dict[str, list[dict[str, str]]] = {}
    for name in EXPORTED:
        aggregation = aggregations.named(name)
        output.line(f"irmexport sentinel export {name} --local {tables.path} --emulator …", "dim")
        way = host.way(aggregation.profile, str(place / "emulator"))
        Export(aggregation, tables, way, on_accepted=partial(way.show, dry=False)).run(tables.now)
        way.drain()
        job = way.outbox.path.rpartition("/")[2].removeprefix("emulator-")
        records = (place / "emulator" / f"records-{job}.jsonl").read_text(encoding="utf-8")
        kept[aggregation.profile] = [json.loads(line)["fields"] for line in records.splitlines()]
    facts = set()
    for profile, rows in kept.items():
        output.table(
            f"What the stand-in kept ({profile})", list(rows[0]), [list(row.values()) for row in rows]
        )
        facts |= {(cells[0], cells[2], cells[3], cells[-1]) for cells in (list(row.values()) for row in rows)}
    same = facts == KEPT and sum(map(len, kept.values())) == len(KEPT)
    said = f"Sentinel export: {len(facts)} rows by {len(EXPORTED)} aggregations of made-up tables"
    return f"{said}, the known ones" if same else f"{said}, NOT THE KNOWN ONES", same
