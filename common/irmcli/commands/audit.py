"""`irmexport audit`: print the audit log."""

from __future__ import annotations

import json

import click
from irmcore.operations.audit import audit

from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings
from irmcli.time_options import parse_timestamp


@click.command("audit")
@click.option("--since", default="7d", show_default=True, help="Start: 2026-11-22T08:00Z, or 36h, 7d ago.")
@click.option("--jsonl", is_flag=True, help="Print one JSON object per line, for a SIEM.")
@click.pass_context
def command(ctx: click.Context, *, since: str, jsonl: bool) -> None:
    """Print every run, upload and decision since a time. Contains no row values."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    events = audit(connectors_of(settings).outboxes(), parse_timestamp(since))
    if jsonl:
        for event in events:
            click.echo(json.dumps(event, sort_keys=True))
        return
    found = list(events)
    output.document(found)
    rows = [
        (
            event["at"],
            event["connector"],
            event["event"],
            str(event.get("batch", event.get("run", "")))[:16],
            event.get("rows", (event.get("counts") or {}).get("read", "")),
            event.get("by") or event.get("user") or (event.get("origin") or {}).get("user", ""),
            event.get("code") or event.get("why") or "",
            event.get("request_id", ""),
        )
        for event in found
    ]
    columns = ("at", "connector", "event", "batch or run", "rows", "by", "code or reason", "request id")
    output.table(f"Since {since}", columns, rows)
    if not found:
        output.line(f"No events since {since}.")
