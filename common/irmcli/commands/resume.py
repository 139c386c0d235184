"""`irmexport resume`: let a paused connector send again."""

from pathlib import Path

import click
from irmcore.operations import operations
from irmcore.operations.connectors import title_of

from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings


@click.command("resume")
@click.argument("connector", default="", required=False)
@click.option("--why", default="", help="Reason for the audit log, for example what you fixed.")
@click.pass_context
def command(ctx: click.Context, connector: str, why: str) -> None:
    """Resume a paused CONNECTOR, or all.

    Fix the cause of the pause first. Queued retries are due at once.

    Example: irmexport resume leaver-prediction
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    who = settings.origin({}).user
    results = {}
    for outbox in connectors_of(settings).choose(connector):
        name = Path(outbox.path).name
        results[name] = operations.resume(outbox, who=who, why=why)
        done = "resumed; `irmexport drain` sends its batches" if results[name] else "was not paused"
        output.line(f"{title_of(outbox)}: {done}")
    output.document(results)
