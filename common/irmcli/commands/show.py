"""`irmexport show BATCH`: all that is on record of a batch; with --payload, its rows."""

from __future__ import annotations

import click
from irmcore.clock import iso

from irmcli.desks import desk_of
from irmcli.say import Say, count
from irmcli.settings import Settings


@click.command("show")
@click.argument("batch")
@click.option("--payload", is_flag=True, help="Print the CSV as it was or will be sent: data about people.")
@click.pass_context
def command(ctx: click.Context, batch: str, payload: bool) -> None:
    """Show the batch whose id begins with BATCH: state, who made it from what, every attempt."""
    say, settings = Say.of(ctx), Settings.of(ctx)
    desk = desk_of(settings)
    box, found = desk.find(batch)
    if payload:
        say.raw(desk.payload(box, found))
        return
    record = desk.describe(box, found)
    say.document(record)
    state, manifest = record["state"], record["manifest"]
    name = state["name"] if state and found.place != "quarantine" else "QUARANTINED"
    say.line(f"{found.id}", "bold")
    say.line(f"  {name} in {record['connector']}")
    if record["problem"]:
        say.line(f"  {record['problem']}", "red")
    if manifest:
        origin, counts = manifest["origin"], manifest["counts"]
        details = ", ".join(f"{key} {value}" for key, value in origin["details"].items())
        say.line(
            f"  {count(manifest['rows'], 'row')}, {manifest['payload_bytes']:,} bytes, "
            f"part {manifest['part']} of {manifest['parts']} of run {manifest['run']}"
        )
        say.line(
            f"  accepted {iso(manifest['accepted'])} from {origin['user']} on {origin['host']} "
            f"by {origin['app']}: {details}"
        )
        say.line("  the run: " + ", ".join(f"{key} {value:,}" for key, value in counts.items()))
        address = ", ".join(f"{k} {v}" for k, v in manifest["destination"]["address"].items())
        say.line(f"  to {address}")
    rows = [
        (
            iso(event["at"]),
            event.get("event", ""),
            event.get("code", ""),
            event.get("request_id", ""),
            event.get("by", ""),
            event.get("why") or event.get("reply", ""),
        )
        for event in record["history"]
    ]
    say.table("  History", ("at", "event", "code", "request id", "by", "words"), rows)
