"""`irmexport send FILE`: shape, keep, deliver."""

from __future__ import annotations

from pathlib import Path

import click

from irmcli import options
from irmcli.emulator.connection import connection_to
from irmcli.exit_codes import DONE, ROWS_REFUSED, worst
from irmcli.output import Output
from irmcli.session import delivery_output as delivered
from irmcli.session import input_file as source
from irmcli.session import shaping_output as shaped
from irmcli.session.connector_session import ConnectorSession
from irmcli.settings import Settings


@click.command("send")
@options.file
@options.profile
@options.form
@options.emulator
@click.option("--dry-run", is_flag=True, help="Shape and count, but keep and send nothing.")
@click.option("--queue-only", is_flag=True, help="Keep the batches; a later drain sends them.")
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
    max_refused: int | None,
) -> None:
    """Send FILE (CSV or JSON lines, gzip too, - for standard input) through a profile."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    profile = settings.profile(profile_name)
    way = ConnectorSession(output, settings, profile, connection_to(profile, emulator_dir))
    if not dry_run:
        way.prepare()
    details = {"file": "-" if file == "-" else str(Path(file).absolute())}
    with source.table(file, profile, form) as table, output.progress("shaping") as progress:
        if dry_run:
            done = way.dry_run(table, name=file, progress=progress)
        else:
            done = way.accept(table, name=file, details=details, max_refused=max_refused, progress=progress)
    way.show(done, dry=dry_run)
    result = shaped.document(done)
    code = ROWS_REFUSED if done.counts.rejected else DONE
    if not dry_run:
        result["connector"] = Path(way.outbox.path).name
    if not dry_run and not queue_only:
        report, drained = way.deliver()
        result["delivery"] = delivered.document(report)
        code = worst((code, drained))
    output.document(result)
    ctx.exit(code)
