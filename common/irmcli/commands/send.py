"""`irmexport send FILE`: shape, keep, deliver."""

from __future__ import annotations

from pathlib import Path

import click
from irmcore import connection as connections
from irmcore import intake
from irmcore.clock import SystemClock
from irmcore.connection import Connection
from irmcore.disk import system_disk
from irmcore.outbox import Box
from irmcore.profile import Profile

from irmcli import delivered, handover, options, rehearsal, shaped, source
from irmcli.exits import DONE, ROWS_REFUSED, worst
from irmcli.say import Say
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
    say, settings = Say.of(ctx), Settings.of(ctx)
    profile = settings.profile(profile_name)
    connection = rehearsal.connection(profile, emulator_dir)
    if dry_run:
        ctx.exit(_rehearse(say, settings, profile, connection, file=file, form=form))
    # Before any row is taken: settings that cannot work are told now, not after the shaping.
    service = settings.service(connection, warn=say.warn)
    details = {"file": "-" if file == "-" else str(Path(file).absolute())}
    with say.progress("shaping") as progress:
        box, done = handover.accept(
            settings,
            profile,
            connection,
            file,
            form=form,
            details=details,
            max_refused=max_refused,
            progress=progress,
        )
    shaped.show(say, done, dry=False)
    result = {**shaped.document(done), "connector": Path(box.path).name}
    code = ROWS_REFUSED if done.counts.rejected else DONE
    if not queue_only:
        report, drained = delivered.drain(say, box, service)
        result["delivery"] = delivered.document(report)
        code = worst((code, drained))
    say.document(result)
    ctx.exit(code)


def _rehearse(
    say: Say, settings: Settings, profile: Profile, connection: Connection, *, file: str, form: str
) -> int:
    box = Box(system_disk(), SystemClock(), f"{settings.outbox}/{connections.box_name(connection)}")
    with source.table(file, profile, form) as table, say.progress("shaping") as progress:
        at = profile.at(connection.connector)
        done = intake.rehearse(table, at, box, name=file, progress=progress)
    shaped.show(say, done, dry=True)
    say.document(shaped.document(done))
    return ROWS_REFUSED if done.counts.rejected else DONE
