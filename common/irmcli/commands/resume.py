"""`irmexport resume`: let a paused connector send again."""

from __future__ import annotations

from pathlib import Path

import click
from irmcore.operations import operations
from irmcore.operations.connectors import title_of

from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings


@click.command("resume")
@click.argument("connector", default="", required=False)
@click.pass_context
def command(ctx: click.Context, connector: str) -> None:
    """Resume CONNECTOR, or all, after you fixed the cause of the pause. Queued retries are due at once."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    results = {}
    for outbox in connectors_of(settings).choose(connector):
        name = Path(outbox.path).name
        results[name] = operations.resume(outbox)
        done = "resumed; `irmexport drain` sends its batches" if results[name] else "was not paused"
        output.line(f"{title_of(outbox)}: {done}")
    output.document(results)
