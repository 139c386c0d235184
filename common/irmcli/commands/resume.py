"""`irmexport resume`: a paused connector may send again, and retries need not wait."""

from __future__ import annotations

from pathlib import Path

import click
from irmcore.operations import operations
from irmcore.operations.connectors import title_of

from irmcli.output import Output
from irmcli.session.operations import connectors_of
from irmcli.settings import Settings


@click.command("resume")
@click.argument("connector", default="", required=False)
@click.pass_context
def command(ctx: click.Context, connector: str) -> None:
    """End the pause of CONNECTOR, or of all, once what was wrong has been put right."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    connectors = connectors_of(settings)
    results = {}
    for outbox in connectors.choose(connector):
        name = Path(outbox.path).name
        results[name] = operations.resume(outbox)
        output.line(
            f"{title_of(outbox)}: {'resumed; `irmexport drain` sends' if results[name] else 'was not paused'}"
        )
    output.document(results)
