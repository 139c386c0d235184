"""`irmexport requeue BATCH`: put a dead or quarantined batch back into the queue."""

import click
from irmcore.errors import IrmError
from irmcore.operations import operations
from irmcore.outbox import states

from irmcli import options
from irmcli.exit_codes import code_of, worst
from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings


@click.command("requeue")
@click.argument("batches", nargs=-1, required=True, metavar="BATCH...")
@options.why
@click.pass_context
def command(ctx: click.Context, *, batches: tuple[str, ...], why: str) -> None:
    """Send dead or quarantined batches again, unchanged.

    Their hashes must match.

    Example: irmexport requeue 3f9a01c2 --why "related value added in the portal"
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    connectors = connectors_of(settings)
    results, codes = [], []
    for prefix in batches:
        try:
            outbox, found = connectors.find_batch(prefix)
            after = operations.requeue(outbox, found.id, who=settings.origin({}).user, why=why)
        except IrmError as error:
            if len(batches) == 1:
                raise
            # What one batch fails with does not hide what was done to the others.
            output.partial_error(error)
            codes.append(code_of(error))
            continue
        name = after.state.name if after.state else "unreadable"
        if name == states.READY:
            step = "`irmexport drain` sends it"
        else:
            step = (
                f"its outcome is unknown: irmexport resolve {found.id[:12]} --sent --why REASON (or --resend)"
            )
        output.line(f"{found.id[:12]} is now {name}; {step}.")
        results.append(found.id)
    output.document(results)
    ctx.exit(worst(codes))
