"""`irmexport clean-up`: delete data past its retention time."""

from __future__ import annotations

import click
from irmcore.operations import operations

from irmcli.exit_codes import DONE, NEEDS_PERSON
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
@click.option(
    "--clock-is-right",
    is_flag=True,
    help="Delete although nothing was recorded for 90 days: you have checked the clock. This is recorded.",
)
@click.pass_context
def command(ctx: click.Context, *, payload_days: float, record_days: float, clock_is_right: bool) -> None:
    """Delete row data of batches sent more than 7 days ago, old reject files, and records after 400 days.

    Run it daily. If the clock seems to have jumped, what only the jump makes old is kept, and the exit code
    is 4.
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    outboxes = connectors_of(settings).outboxes()
    who = settings.origin({}).user if clock_is_right else ""
    deleted, doubts = operations.clean_up(
        outboxes, payload_days * _DAY, record_days * _DAY, clock_checked_by=who
    )
    output.line(f"Deleted the rows of {deleted.payloads:,} batches and the records of {deleted.batches:,}.")
    for name, doubt in doubts.items():
        output.warn(
            f"{name}: {doubt}. Check this machine's clock (`date`, NTP); if it is right, run "
            "`irmexport clean-up --clock-is-right`"
        )
    output.document({"payloads": deleted.payloads, "batches": deleted.batches, "doubts": doubts})
    ctx.exit(NEEDS_PERSON if doubts else DONE)
