"""`irmexport clean-up`: delete data past its retention time."""

from __future__ import annotations

import click
from irmcore.operations import operations

from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings

_DAY = 86_400.0


@click.command("clean-up")
@click.option(
    "--payload-days",
    type=click.FloatRange(min=0),
    default=7.0,
    show_default=True,
    help="Days to keep the rows of a sent batch, and reject files.",
)
@click.option(
    "--record-days",
    type=click.FloatRange(min=400),
    default=400.0,
    show_default=True,
    help="Days to keep batch records and row keys. A row that arrives again later is treated as new.",
)
@click.pass_context
def command(ctx: click.Context, *, payload_days: float, record_days: float) -> None:
    """Delete row data of batches sent more than 7 days ago, old reject files, and records after 400 days.

    Run it daily.
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    outboxes = connectors_of(settings).outboxes()
    payloads, batches = operations.clean_up(outboxes, payload_days * _DAY, record_days * _DAY)
    output.line(f"Deleted the rows of {payloads:,} batches and the records of {batches:,}.")
    output.document({"payloads": payloads, "batches": batches})
