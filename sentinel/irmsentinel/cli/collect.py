"""`irmexport sentinel collect`: collect IRM alerts into the workspace."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from irmcli.exit_codes import DONE, FAILED, NEEDS_PERSON
from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.session.retention import clean_up_after
from irmcli.settings import Settings
from irmcore.errors import ConfigurationError, IrmError

from irmsentinel.cli import options
from irmsentinel.cli.collector_output import round_document, show_progress, show_round
from irmsentinel.cli.collector_session import open_service

if TYPE_CHECKING:
    from irmsentinel.collector.rounds import Round


@click.command("collect")
@options.collector_settings
@options.collector_emulator
@click.option("--once", is_flag=True, help="Do one round, then exit: for cron and systemd timers.")
@click.option(
    "--every", default=15, show_default=True, type=click.IntRange(1, 720), help="Minutes between rounds."
)
@click.option(
    "--backfill", is_flag=True, help="Read everything the API still has, 7 days; known records are skipped."
)
@click.pass_context
def collect(
    ctx: click.Context, *, file: str, emulator: Path | None, once: bool, every: int, backfill: bool
) -> None:
    """Collect IRM alerts from the Management Activity API into the workspace.

    Exits with 0 if the workspace has all of them, 1 if some are queued, 4 if something needs attention or
    content was lost.

    Example: irmexport sentinel collect --settings collector.yaml --once
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    service = open_service(settings, file, emulator)
    first = True
    while True:
        try:
            result = service.round(backfill=backfill and first, progress=show_progress(output))
            show_round(output, result)
        except IrmError as error:
            if once or (first and isinstance(error, ConfigurationError)):
                raise
            output.line(str(error), "red")
        else:
            for outbox in connectors_of(settings).outboxes():
                clean_up_after(output, outbox)
            if once:
                output.document(round_document(result))
                ctx.exit(_code(result))
        first = False
        try:
            time.sleep(60 * every)
        except KeyboardInterrupt:
            return


def _code(result: Round) -> int:
    if result.overview.needs_person or result.collected.gaps:
        return NEEDS_PERSON
    return DONE if result.collected.complete and not result.overview.queued else FAILED
