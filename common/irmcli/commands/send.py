"""`irmexport send FILE`: shape rows, store them in the outbox, deliver them."""

from pathlib import Path

import click
from irmcore.errors import IrmError
from irmcore.outbox import states

from irmcli import options
from irmcli.exit_codes import code_of, code_of_rows, worst
from irmcli.output import Output
from irmcli.session import hazards
from irmcli.session.connector_session import ConnectorSession
from irmcli.session.delivery_output import show_proposed
from irmcli.session.input_file import about_rows, open_table
from irmcli.session.shaping_output import shaping_document, show_input
from irmcli.settings import Settings


@click.command("send")
@options.file
@options.profile
@options.form
@options.emulator
@click.option("--dry-run", is_flag=True, help="Shape and count the rows; store and send nothing.")
@click.option("--queue-only", is_flag=True, help="Store the batches; a later drain sends them.")
@click.option(
    "--seconds", type=click.FloatRange(min=1), help="Start no further upload after this many seconds."
)
@click.option(
    "--max-refused",
    type=click.IntRange(min=0),
    help="Accept nothing if more rows than this are refused.",
)
@click.pass_context
def command(
    ctx: click.Context,
    *,
    file: str,
    profile_name: str,
    form: str,
    emulator_dir: str | None,
    dry_run: bool,
    queue_only: bool,
    seconds: float | None,
    max_refused: int | None,
) -> None:
    """Send the rows of FILE through a profile.

    FILE is CSV, JSON or an Excel workbook, optionally compressed with gzip; - is standard input.

    If another sender is at work on the connector, it sends these batches too, and the exit code is 0.

    Example: irmexport send detections.csv --profile leaver-prediction
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    profile = settings.profile(profile_name)
    session = ConnectorSession.of(output, settings, profile, emulator_dir)
    if not dry_run:
        session.prepare()
    details = {"file": "-" if file == "-" else str(Path(file).absolute())}
    with open_table(file, profile, form) as table, output.progress("shaping", about_rows(file)) as progress:
        if dry_run:
            done = session.dry_run(table, name=file, progress=progress)
        else:
            done = session.accept(
                table, name=file, details=details, max_refused=max_refused, progress=progress
            )
    show_input(output, table)
    session.show(done, dry=dry_run)
    found = hazards.count_in_payloads(session.payloads() if not dry_run else ())
    hazards.show_hazards(output, found)
    result = {**shaping_document(done), "hazards": dict(found)}
    code = code_of_rows(done.counts.rejected)
    if not dry_run:
        result["connector"] = Path(session.outbox.path).name
    if queue_only and not dry_run and done.batches and profile.release == "approve":
        show_proposed(output, session.outbox, len(done.batches))
    if not dry_run and not queue_only:
        try:
            clock = session.outbox.clock
            report, drained = session.deliver(until=clock.monotonic() + seconds if seconds else None)
            result["delivery"] = report.as_dict()
        except (IrmError, OSError) as raised:
            # The rows are accepted, so their run and batches are the result, whatever stops the delivery.
            error = output.partial_error(raised)
            result["delivery"] = {"error": str(error)}
            drained = code_of(error)
        found_now = [session.outbox.find(batch) for batch in done.batches]
        result["sent"] = [b.id for b in found_now if b and b.state and b.state.name == states.SENT]
        code = worst((code, drained))
    output.document(result)
    ctx.exit(code)
