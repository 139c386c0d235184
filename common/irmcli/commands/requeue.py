"""`irmexport requeue BATCH`: put a dead or quarantined batch back into the queue."""

from __future__ import annotations

import click
from irmcore.operations import operations
from irmcore.outbox import states

from irmcli import options
from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings


@click.command("requeue")
@click.argument("batches", nargs=-1, required=True, metavar="BATCH...")
@options.why
@click.pass_context
def command(ctx: click.Context, *, batches: tuple[str, ...], why: str) -> None:
    """Send dead or quarantined batches again, unchanged, once their hashes match.

    Example: irmexport requeue 3f9a01c2 --why "related value added in the portal"
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    connectors = connectors_of(settings)
    results = []
    for prefix in batches:
        outbox, found = connectors.find_batch(prefix)
        after = operations.requeue(outbox, found.id, who=settings.origin({}).user, why=why)
        name = after.state.name if after.state else "unreadable"
        if name == states.READY:
            step = "`irmexport drain` sends it"
        else:
            step = f"its outcome is unknown: irmexport resolve {found.id[:12]} --sent or --resend, with --why"
        output.line(f"{found.id[:12]} is now {name}; {step}.")
        results.append(found.id)
    output.document(results)
