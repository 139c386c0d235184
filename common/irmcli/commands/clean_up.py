"""`irmexport clean-up`: delete data past its retention time."""

import click
from irmcore.operations import retention

from irmcli.exit_codes import DONE, NEEDS_PERSON
from irmcli.output import Output
from irmcli.session.connectors import outboxes_of
from irmcli.session.retention import clean_up_shared
from irmcli.settings import Settings


@click.command("clean-up")
@click.option(
    "--clock-is-right",
    is_flag=True,
    help="Delete although nothing was recorded for 90 days: you have checked the clock. This is recorded.",
)
@click.pass_context
def command(ctx: click.Context, *, clock_is_right: bool) -> None:
    """Delete now what is past its retention time.

    `send`, `drain` and others do so once a day.

    `status` shows the periods. If the clock seems to have jumped, what only the jump makes old is kept, and
    the exit code is 4.

    Example: irmexport clean-up
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    outboxes = outboxes_of(settings)
    who = settings.origin({}).user if clock_is_right else ""
    deleted, doubts = retention.clean_up(outboxes, clock_checked_by=who)
    output.line(
        f"Deleted the rows of {deleted.payloads:,} batches that were sent or withdrawn and of "
        f"{deleted.undecided:,} that nobody decided about, and the records of {deleted.batches:,}."
    )
    shared = clean_up_shared(settings.outbox.absolute(), output.warn)
    if shared:
        output.line(
            f"Deleted {shared:,} old files of watched folders and marks of them, and people who left."
        )
    for name, doubt in doubts.items():
        output.warn(f"{name}: {doubt}. {retention.CHECK_CLOCK}")
    found = {name: getattr(deleted, name) for name in ("payloads", "undecided", "batches")}
    output.document({**found, "files": shared, "doubts": doubts})
    ctx.exit(NEEDS_PERSON if doubts else DONE)
