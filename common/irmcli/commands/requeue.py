"""`irmexport requeue BATCH`: a dead or quarantined batch goes back into the queue."""

from __future__ import annotations

import click
from irmcore.operations import operations
from irmcore.outbox import states

from irmcli import options
from irmcli.output import Output
from irmcli.session.operations import connectors_of
from irmcli.settings import Settings


@click.command("requeue")
@click.argument("batches", nargs=-1, required=True, metavar="BATCH...")
@options.why
@click.pass_context
def command(ctx: click.Context, *, batches: tuple[str, ...], why: str) -> None:
    """Send dead or quarantined batches again, as they are, after their hashes were proven."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    connectors = connectors_of(settings)
    results = []
    for prefix in batches:
        outbox, found = connectors.find_batch(prefix)
        after = operations.requeue(outbox, found.id, who=settings.origin({}).user, why=why)
        name = after.state.name if after.state else "unreadable"
        step = "`irmexport drain` sends it" if name == states.READY else "its outcome is in doubt: resolve it"
        output.line(f"{found.id[:12]} is {name} now; {step}.")
        results.append(found.id)
    output.document(results)
