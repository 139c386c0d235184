"""`irmexport clean-up`: remove what is past its retention time."""

from __future__ import annotations

import click
from irmcore.operations import operations

from irmcli.output import Output
from irmcli.session.operations import connectors_of
from irmcli.settings import Settings

_DAY = 86_400.0


@click.command("clean-up")
@click.option(
    "--payload-days",
    type=click.FloatRange(min=0),
    default=7.0,
    show_default=True,
    help="Days after its receipt that a batch keeps its rows; also of reject files.",
)
@click.option(
    "--record-days",
    type=click.FloatRange(min=400),
    default=400.0,
    show_default=True,
    help="Days that its record and its row keys stay: a row that comes again later than this is new.",
)
@click.pass_context
def command(ctx: click.Context, *, payload_days: float, record_days: float) -> None:
    """Remove the rows of batches long sent, reject files as old, and records older than 400 days.

    For a daily job.
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    payloads, batches = operations.clean_up(
        connectors_of(settings).outboxes(), payload_days * _DAY, record_days * _DAY
    )
    output.line(f"Removed the rows of {payloads:,} batches, and the records of {batches:,}.")
    output.document({"payloads": payloads, "batches": batches})
