"""`irmexport resolve`: record what happened to batches whose outcome is unknown."""

from pathlib import Path

import click
from irmcore.errors import IrmError
from irmcore.operations import operations
from irmcore.outbox import Batch, Outbox

from irmcli import options
from irmcli.exit_codes import code_of, worst
from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings
from irmcli.time_options import parse_timestamp


@click.command("resolve")
@click.argument("batch", required=False)
@click.option("--held", is_flag=True, help="Resolve all held batches instead of one BATCH.")
@click.option("--connector", default="", help="With --held: only this connector.")
@click.option("--since", default="", help="With --held: only held since 2026-11-22T08:00Z, or 36h, 7d ago.")
@click.option("--sent", "outcome", flag_value="sent", help="The service has the rows: never send them again.")
@click.option("--resend", "outcome", flag_value="resend", help="The service does not have them: send again.")
@click.option(
    "--withdraw",
    "outcome",
    flag_value="withdraw",
    help="Abandon the batch (held or dead): the next send treats its rows as new.",
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
    """Resolve BATCH, or all held batches with --held. Needs --sent, --resend or --withdraw, and --why.

    Example: irmexport resolve 3f9a01c2 --sent --why "the connector's log says RecordsSaved 120"
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    if outcome is None:
        raise click.UsageError("Give the outcome: --sent, --resend or --withdraw.", ctx)
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
    results: list[dict[str, str]] = []
    codes = []
    for outbox, found in chosen:
        result = {"batch": found.id, "connector": Path(outbox.path).name}
        try:
            resolved = operations.resolve(outbox, found.id, outcome, who=who, why=why)
        except IrmError as error:
            if batch is not None:
                raise
            # What one batch fails with does not hide what was done to the others.
            output.partial_error(error)
            results.append({**result, "error": str(error)})
            codes.append(code_of(error))
            continue
        name = resolved.state.name if resolved.state else "unreadable"
        results.append({**result, "state": name})
        output.line(f"{found.id[:12]} is now {name}")
    if not chosen:
        output.line("No batch is held.")
    elif outcome == "resend" and len(codes) < len(chosen):
        output.line("`irmexport drain` sends them.")
    output.document(results)
    ctx.exit(worst(codes))
