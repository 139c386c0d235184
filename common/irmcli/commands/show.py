"""`irmexport show BATCH`: show the record of a batch, or its rows with --payload."""

import csv
import io

import click
from irmcore.clock import iso
from irmcore.errors import DamageError
from irmcore.intake.accept import CONTENT_TYPE
from irmcore.operations.audit import describe
from irmcore.outbox import Batch, Outbox
from irmcore.outbox.batch_files import read_manifest, read_payload, read_rowkeys
from irmcore.outbox.rowkeys import Damaged, unpack
from irmcore.shaping.batches import line_writer
from irmcore.shaping.csv_cells import allow_long_fields
from irmcore.shaping.times import written

from irmcli.output import Output, count
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings


@click.command("show")
@click.argument("batch")
@click.option("--payload", is_flag=True, help="Print the CSV as it was or will be sent: personal data.")
@click.option(
    "--original-times",
    is_flag=True,
    help="Print the CSV with one more column: each row's time before it was spread, in its own precision.",
)
@click.pass_context
def command(ctx: click.Context, batch: str, payload: bool, original_times: bool) -> None:
    """Show a batch: its state, origin and every upload attempt.

    BATCH is the start of its id.

    Example: irmexport show 3f9a01c2 --payload
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    connectors = connectors_of(settings)
    outbox, found = connectors.find_batch(batch)
    if payload or original_times:
        manifest = read_manifest(outbox, found)
        data = read_payload(outbox, found, manifest)
        if original_times and manifest.content_type == CONTENT_TYPE:
            data = _with_original_times(outbox, found, data)
        output.raw(data)
        return
    record = describe(outbox, found)
    output.document(record)
    state, manifest = record["state"], record["manifest"]
    name = state["name"] if state and found.folder != "quarantine" else "QUARANTINED"
    output.line(f"{found.id}", "bold")
    output.line(f"  {name} in {record['connector']}")
    if record["problem"]:
        output.line(f"  {record['problem']}", "red")
    if manifest:
        origin, counts = manifest["origin"], manifest["counts"]
        details = ", ".join(f"{key} {value}" for key, value in origin["details"].items())
        output.line(
            f"  {count(manifest['rows'], 'row')}, {manifest['payload_bytes']:,} bytes, "
            f"part {manifest['part']} of {manifest['parts']} of run {manifest['run']}"
        )
        output.line(
            f"  accepted {iso(manifest['accepted'])} from {origin['user']} on {origin['host']} "
            f"by {origin['app']}: {details}"
        )
        output.line("  rows of the run: " + ", ".join(f"{key} {value:,}" for key, value in counts.items()))
        address = ", ".join(f"{k} {v}" for k, v in manifest["destination"]["address"].items())
        output.line(f"  to {address}")
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
    output.table("  History", ("at", "event", "code", "request id", "by", "reason or reply"), rows)


def _with_original_times(outbox: Outbox, batch: Batch, payload: bytes) -> bytes:
    """The payload with the column ``original_time``, which is empty where no original time was kept."""
    allow_long_fields()
    header, *lines = csv.reader(io.StringIO(payload.decode("utf-8"), newline=""))
    try:
        rows = list(unpack(read_rowkeys(outbox, batch)))
    except Damaged:
        raise DamageError(
            "the file with the original times is damaged",
            where=f"{batch.path}/rowkeys",
            next_step=f"Run `irmexport show {batch.id[:12]} --payload`, which prints them without times.",
        ) from None
    times = [written(row.time, row.precision) if row.precision else "" for row in rows]
    write = line_writer()
    texts = [
        write([*header, "original_time"]),
        *(write([*line, time]) for line, time in zip(lines, times, strict=True)),
    ]
    return "".join(texts).encode("utf-8")
