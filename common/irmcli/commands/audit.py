"""`irmexport audit`: print the audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click
from irmcore.operations import verification
from irmcore.operations.audit import audit
from irmcore.outbox import Outbox

from irmcli.exit_codes import DONE, NEEDS_PERSON
from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings
from irmcli.time_options import parse_timestamp


@click.command("audit")
@click.option("--since", default="7d", show_default=True, help="Start: 2026-11-22T08:00Z, or 36h, 7d ago.")
@click.option("--jsonl", is_flag=True, help="Print one JSON object per line, for a SIEM.")
@click.option("--verify", is_flag=True, help="Read every file and verify its checksum first.")
@click.pass_context
def command(ctx: click.Context, *, since: str, jsonl: bool, verify: bool) -> None:
    """Print every run, upload and decision since a time. Contains no row values.

    Exits with 4 if an outbox is damaged or must not be used where it is, and says what to do.
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    outboxes = connectors_of(settings).outboxes()
    found = _show_damage(output, outboxes, verification.EVERYTHING if verify else 0)
    _show(output, audit(outboxes, parse_timestamp(since)), since, jsonl=jsonl)
    ctx.exit(NEEDS_PERSON if found else DONE)


def _show_damage(output: Output, outboxes: Sequence[Outbox], limit: int) -> bool:
    """Warn of every damage; returns whether there is any."""
    found = False
    for outbox in outboxes:
        trouble = verification.format_trouble(outbox)
        texts = [trouble or verification.use_trouble(outbox)]
        texts += [] if trouble else map(str, verification.damages(outbox, limit))
        for text in filter(None, texts):
            output.warn(text)
            found = True
    return found


def _show(output: Output, events: Iterator[dict[str, Any]], since: str, *, jsonl: bool) -> None:
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
