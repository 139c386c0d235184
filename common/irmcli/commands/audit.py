"""`irmexport audit`: print the audit log."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click
from irmcore.errors import OperatorError
from irmcore.operations import verification
from irmcore.operations.audit import audit
from irmcore.outbox import Outbox, audit_log
from irmcore.outbox.audit_chain import Head

from irmcli.exit_codes import DONE, NEEDS_PERSON
from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings
from irmcli.time_options import parse_timestamp


@click.command("audit")
@click.option("--since", default="7d", show_default=True, help="Start: 2026-11-22T08:00Z, or 36h, 7d ago.")
@click.option("--jsonl", is_flag=True, help="Print one JSON object per line, for a SIEM.")
@click.option("--verify", is_flag=True, help="Read every file, and verify its checksum and the log's chain.")
@click.option(
    "--head",
    "noted",
    is_flag=False,
    flag_value="",
    default=None,
    help="Print only the head of each log, to be kept elsewhere; or with --verify: look for this head.",
)
@click.pass_context
def command(ctx: click.Context, *, since: str, jsonl: bool, verify: bool, noted: str | None) -> None:
    """Print every run, upload and decision since a time. Contains no row values.

    Exits with 4 if an outbox is damaged, if its log or settings were changed by something else, or if it must
    not be used where it is, and says where and what to do.

    Example: irmexport audit --verify --head purview-5f0c0a52:214:9d2c0f2f6f6f00015f0c0a526a8e4a32
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    outboxes = connectors_of(settings).outboxes()
    if noted is not None and not verify:
        if noted:
            raise click.UsageError("Add --verify to look for this head.", ctx)
        heads = [f"{outbox.name}:{head.number}:{head.mac}" for outbox, head in _heads(outboxes)]
        for line in heads:
            output.line(line)
        output.document(heads)
        ctx.exit(DONE)
    head = _parsed_head(noted, outboxes) if noted else None
    found = _show_damage(output, outboxes, verification.EVERYTHING if verify else 0, head)
    _show(output, audit(outboxes, parse_timestamp(since)), since, jsonl=jsonl)
    ctx.exit(NEEDS_PERSON if found else DONE)


def _heads(outboxes: Sequence[Outbox]) -> Iterator[tuple[Outbox, Head]]:
    for outbox in outboxes:
        yield outbox, audit_log.head(outbox)


def _parsed_head(text: str, outboxes: Sequence[Outbox]) -> tuple[str, Head]:
    """The connector and the head in a line of `irmexport audit --head`. Raises OperatorError."""
    name, _, rest = text.strip().rpartition(":")[0].rpartition(":")
    mac = text.strip().rpartition(":")[2]
    if name not in {outbox.name for outbox in outboxes} or not rest.isdecimal():
        raise OperatorError(
            "this is not the head of a connector in this outbox",
            next_step="Give a line that `irmexport audit --head` printed: CONNECTOR:NUMBER:MAC.",
        )
    return name, Head(int(rest), mac)


def _show_damage(
    output: Output, outboxes: Sequence[Outbox], limit: int, noted: tuple[str, Head] | None
) -> bool:
    """Warn of every damage; returns whether there is any."""
    found = False
    for outbox in outboxes:
        trouble = verification.format_trouble(outbox)
        texts = [trouble or verification.use_trouble(outbox)]
        head = noted[1] if noted and noted[0] == outbox.name else None
        texts += [] if trouble else map(str, verification.damages(outbox, limit, head))
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
