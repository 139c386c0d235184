"""`irmexport release`: let proposed batches be sent, reject them, or look at their rows."""

import click
from irmcore.errors import IrmError, OperatorError
from irmcore.operations import release as operations
from irmcore.operations.connectors import Connectors
from irmcore.outbox import Batch, Outbox

from irmcli.exit_codes import code_of, worst
from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings


@click.command("release")
@click.argument("targets", nargs=-1, required=True, metavar="PROFILE|CONNECTOR|BATCH...")
@click.option("--reject", is_flag=True, help="Withdraw them instead: the next send treats the rows as new.")
@click.option("--preview", is_flag=True, help="Show the first rows; change nothing. Needs no --why.")
@click.option("--rows", type=click.IntRange(1, 10_000), default=20, show_default=True, help="With --preview.")
@click.option("--why", default="", help="The reason. It is kept in the audit log.")
@click.pass_context
def command(
    ctx: click.Context, *, targets: tuple[str, ...], reject: bool, preview: bool, rows: int, why: str
) -> None:
    """Release proposed batches, so that the next drain sends them.

    A profile with `release: approve` proposes batches.

    The account must be another one than that of the run that proposed it. Anybody may reject.

    Example: irmexport release leaver-prediction --why "checked against the list of HR"
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    if not preview and not why.strip():
        raise click.UsageError("Give the reason with --why.", ctx)
    found = [pair for target in targets for pair in _proposed(connectors_of(settings), target)]
    if preview:
        _show(output, found, rows)
        return
    who = settings.origin({}).user
    act, done = (operations.reject, "rejected") if reject else (operations.release, "released")
    results, codes = [], []
    for outbox, batch in found:
        try:
            act(outbox, batch.id, who=who, why=why)
        except IrmError as error:
            if len(found) == 1:
                raise
            # What one batch fails with does not hide what was done to the others.
            output.partial_error(error)
            results.append({"batch": batch.id, "error": str(error)})
            codes.append(code_of(error))
            continue
        output.line(f"{batch.id[:12]} is {done}.")
        results.append({"batch": batch.id, "state": done})
    if not found:
        output.line("Nothing is proposed.")
    elif not reject and len(codes) < len(found):
        output.line("`irmexport drain` sends it.")
    output.document(results)
    ctx.exit(worst(codes))


def _proposed(connectors: Connectors, target: str) -> list[tuple[Outbox, Batch]]:
    """What a target names: all proposed batches of a connector, or one batch. Raises OperatorError."""
    try:
        chosen = connectors.choose(target)
    except OperatorError:
        return [connectors.find_batch(target)]
    return [(outbox, batch) for outbox in chosen for batch in operations.proposed(outbox)]


def _show(output: Output, found: list[tuple[Outbox, Batch]], rows: int) -> None:
    document = []
    for outbox, batch in found:
        header, *lines = operations.preview(outbox, batch, rows)
        output.table(f"{batch.id[:12]} of {outbox.name}", header, lines)
        document.append({"batch": batch.id, "header": header, "rows": lines})
    if not found:
        output.line("Nothing is proposed.")
    output.document(document)
