"""`irmexport sentinel collect`: collect IRM alerts and activities into the workspace."""

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
from irmsentinel.cli.collector_session import open_services

if TYPE_CHECKING:
    from irmsentinel.collector.rounds import Round
    from irmsentinel.collector.service import CollectorService


@click.command("collect")
@options.collector_settings
@options.collector_emulator
@click.option(
    "--source",
    type=click.Choice(["audit", "graph", "both", "activities", "defender", "all"]),
    help="What is read: alerts from audit records, Microsoft Graph or both; Defender's activities; defender: "
    "graph and activities; or all.  [default: as in the settings]",
)
@click.option("--once", is_flag=True, help="Do one round, then exit: for cron and systemd timers.")
@click.option(
    "--every", default=15, show_default=True, type=click.IntRange(1, 720), help="Minutes between rounds."
)
@click.option(
    "--backfill",
    is_flag=True,
    help="Read everything the API still has (audit: 7 days, graph: 180, activities: 30); known records are "
    "skipped.",
)
@click.pass_context
def collect(
    ctx: click.Context,
    *,
    file: str,
    emulator: Path | None,
    source: str | None,
    once: bool,
    every: int,
    backfill: bool,
) -> None:
    """Collect IRM alerts and activities into the workspace.

    They come from the Management Activity API or Microsoft Graph.

    Exits with 0 if the workspace has all of them, 1 if some are queued, 4 if something needs attention or
    content was lost.

    Example: irmexport sentinel collect --settings collector.yaml --once
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    services = open_services(settings, file, emulator, source)
    first = True
    while True:
        rounds, errors = _rounds(output, services, backfill=backfill and first)
        final = errors and (once or (first and not rounds and isinstance(errors[0], ConfigurationError)))
        for error in errors[1:] if final else errors:
            output.partial_error(error)
        if final:
            raise errors[0]
        if rounds:
            for outbox in connectors_of(settings).outboxes():
                clean_up_after(output, outbox)
        if once:
            documents = [round_document(result, name) for name, result in rounds.items()]
            output.document(documents if len(services) > 1 else documents[0])
            ctx.exit(max(_code(result) for result in rounds.values()))
        first = False
        try:
            time.sleep(60 * every)
        except KeyboardInterrupt:
            return


def _rounds(
    output: Output, services: list[CollectorService], *, backfill: bool
) -> tuple[dict[str, Round], list[IrmError]]:
    """A round of each source: its result, or its error, which does not stop the others."""
    rounds, errors = {}, []
    for service in services:
        source = service.settings.source
        try:
            rounds[source] = service.round(backfill=backfill, progress=show_progress(output))
            show_round(output, rounds[source], source)
        except IrmError as error:
            errors.append(error)
    return rounds, errors


def _code(result: Round) -> int:
    if result.overview.needs_person or result.collected.gaps:
        return NEEDS_PERSON
    return DONE if result.collected.complete and not result.overview.queued else FAILED
