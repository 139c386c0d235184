"""`irmexport sentinel aggregations` and `export`: export one aggregation to the connector."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
from irmcli.exit_codes import code_of, code_of_rows, worst
from irmcli.extras import sentinel_extra
from irmcli.output import Output
from irmcli.session.connector_session import ConnectorSession
from irmcli.settings import Settings
from irmcore.errors import IrmError

from irmsentinel.cli import options
from irmsentinel.cli.export_output import failed_outcome, outcome_document, report_health, show_outcome
from irmsentinel.content import aggregations, artefacts
from irmsentinel.content.aggregations import Aggregation, Span
from irmsentinel.content.artefacts import Content
from irmsentinel.content.durations import format_duration
from irmsentinel.export import windows
from irmsentinel.export.export import Export
from irmsentinel.export.outcome import ExportRun
from irmsentinel.export.reader import Source


@click.command("aggregations")
@options.content
@click.pass_context
def aggregations_(ctx: click.Context, *, own: Path | None) -> None:
    """List the aggregations that can be exported.

    Example: irmexport sentinel aggregations
    """
    output, known = Output.of(ctx), aggregations.load(*artefacts.load(own=own).folders)
    rows = [
        (a.name, a.profile, *map(format_duration, (a.window, a.delay)), a.description) for a in known.values()
    ]
    output.table("Aggregations", ("name", "profile", "window", "delay", "what it counts"), rows)
    output.document(
        [
            {"name": name, "profile": profile, "window": window, "delay": delay, "description": about}
            for name, profile, window, delay, about in rows
        ]
    )


@click.command("export")
@click.argument("name")
@click.option(
    "--workspace",
    "workspaces",
    multiple=True,
    callback=options.workspace_ids,
    help="ID of a Log Analytics workspace to read; repeatable.",
)
@click.option(
    "--local", "folder", type=options.FOLDER, help="Read the TABLE.jsonl files in this directory instead."
)
@options.query_emulator
@options.cloud
@click.option("-p", "--profile", "profile", help="Use another profile than the aggregation's.")
@options.connector_emulator
@click.option("--dry-run", is_flag=True, help="Read and shape the rows; store and send nothing.")
@options.queue_only
@click.option(
    "--from",
    "start",
    callback=options.utc_time,
    metavar="TIME",
    help="Start of the time to read; the cursor stays.",
)
@click.option("--to", "end", callback=options.utc_time, metavar="TIME", help="End of the time to read.")
@options.content
@options.health
@options.health_emulator
@click.pass_context
def export(
    ctx: click.Context,
    *,
    name: str,
    workspaces: tuple[str, ...],
    folder: Path | None,
    query_emulator: Path | None,
    cloud: str,
    profile: str | None,
    emulator: str | None,
    dry_run: bool,
    queue_only: bool,
    start: datetime | None,
    end: datetime | None,
    own: Path | None,
    health: Path | None,
    health_emulator: Path | None,
) -> None:
    """Export the aggregation NAME to the connector.

    Exports all windows that closed since the last export.

    Example: irmexport sentinel export okta --workspace 00000000-0000-0000-0000-000000000000
    """
    if sum(map(bool, (folder, query_emulator, workspaces))) != 1:
        raise click.UsageError("Choose one source: --workspace ID, --local DIR or --query-emulator DIR.")
    output, settings = Output.of(ctx), Settings.of(ctx)
    loaded = artefacts.load(own=own)
    aggregation = aggregations.named(name, aggregations.load(*loaded.folders))
    span = _span(aggregation, start, end)
    profile = profile or aggregation.profile
    session = ConnectorSession.of(output, settings, settings.profile(profile), emulator)
    if not dry_run:
        session.prepare()  # before any query, so that a wrong setting is reported at once
    ran: list[ExportRun] = []
    codes: list[int] = []
    sources = _sources(
        settings, loaded, workspaces=workspaces, folder=folder, query_emulator=query_emulator, cloud=cloud
    )
    for source, now in sources:
        started = datetime.now(UTC)
        one = Export(aggregation, source, session, on_accepted=partial(session.show, dry=dry_run))
        try:
            outcome = one.run(now, span, dry=dry_run)
        except (IrmError, OSError) as raised:  # rows accepted before the error are sent all the same
            error = output.partial_error(raised)
            codes.append(code_of(error))
            outcome = failed_outcome(name, source.label, started, raised)
        else:
            show_outcome(output, outcome, dry=dry_run)
            codes.append(code_of_rows(outcome.counts.rejected))
        ran.append(ExportRun(name, source.label, profile, session.outbox, outcome))
    try:
        if not dry_run and not queue_only and session.outbox.exists():
            codes.append(session.drain())
    finally:
        if not dry_run:
            report_health(output, settings, ran, file=health, emulator=health_emulator, heartbeats=False)
    output.document([outcome_document(one.outcome) for one in ran if one.outcome])
    ctx.exit(worst(codes))


def _span(aggregation: Aggregation, start: datetime | None, end: datetime | None) -> Span | None:
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise click.UsageError("Give both --from and --to, or neither.")
    span = Span(start, end)
    if not windows.is_whole(span, aggregation.window):
        raise click.UsageError(
            f"--from and --to must enclose whole windows of {format_duration(aggregation.window)}."
        )
    return span


def _sources(
    settings: Settings,
    loaded: Content,
    *,
    workspaces: tuple[str, ...],
    folder: Path | None,
    query_emulator: Path | None,
    cloud: str,
) -> list[tuple[Source, datetime]]:
    """Each source with its current time."""
    with sentinel_extra():
        from irmsentinel.azure.identity import Identity
        from irmsentinel.export import sources
    if folder:
        local = sources.folder(loaded, folder)
        click.get_current_context().call_on_close(local.close)
        return [(local, local.now)]
    if query_emulator:
        return [sources.emulated_workspace(query_emulator)]
    now = datetime.now(UTC)
    return [(sources.azure(w, cloud, Identity(), settings.environment), now) for w in workspaces]
