"""`irmexport resolve`: a person's word on batches whose outcome nobody knows."""

from __future__ import annotations

from pathlib import Path

import click
from irmcore.operations import operations
from irmcore.outbox import Batch, Outbox

from irmcli import options
from irmcli.output import Output
from irmcli.session.operations import connectors_of
from irmcli.settings import Settings
from irmcli.timestamps import parse_timestamp


@click.command("resolve")
@click.argument("batch", required=False)
@click.option("--held", is_flag=True, help="All held batches, in place of one BATCH.")
@click.option("--connector", default="", help="With --held: only of this connector.")
@click.option("--since", default="", help="With --held: held since then; 2026-11-22T08:00Z, or 36h, 7d ago.")
@click.option("--sent", "outcome", flag_value="sent", help="The service has the rows: never send them again.")
@click.option("--resend", "outcome", flag_value="resend", help="The service does not have them: send again.")
@click.option(
    "--withdraw",
    "outcome",
    flag_value="withdraw",
    help="Give the batch up (held or dead): its rows are new to the next send.",
)
@options.why
@click.pass_context
def command(
    ctx: click.Context,
    *,
    batch: str | None,
    held: bool,
    connector: str,
    since: str,
    outcome: str | None,
    why: str,
) -> None:
    """End what is held: BATCH, or all with --held. Needs one of --sent, --resend, --withdraw, and --why."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    if outcome is None:
        raise click.UsageError("Say what became of the rows: --sent, --resend or --withdraw.", ctx)
    if held == (batch is not None):
        raise click.UsageError("Give one BATCH, or --held for all of them.", ctx)
    connectors = connectors_of(settings)
    chosen: list[tuple[Outbox, Batch]] = []
    if batch is not None:
        chosen.append(connectors.find_batch(batch))
    else:
        after = parse_timestamp(since) if since else 0.0
        chosen.extend(
            (outbox, found)
            for outbox in connectors.choose(connector)
            for found in operations.held_since(outbox, after)
        )
    who = settings.origin({}).user
    results = []
    for outbox, found in chosen:
        after_it = operations.resolve(outbox, found.id, outcome, who=who, why=why)
        name = after_it.state.name if after_it.state else "unreadable"
        results.append({"batch": found.id, "connector": Path(outbox.path).name, "state": name})
        output.line(f"{found.id[:12]} is {name} now")
    if not chosen:
        output.line("Nothing is held.")
    elif outcome == "resend":
        output.line("`irmexport drain` sends them.")
    output.document(results)
