"""`irmexport sentinel aggregations, export, run, status`: from a workspace to the connector."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.errors import ConfigurationError, IrmError, OutboxBusy

from irmsentinel.cli import extra, voice
from irmsentinel.cli import host as hosts
from irmsentinel.cli.host import Host, Way
from irmsentinel.cli.voice import Voice
from irmsentinel.content import aggregations
from irmsentinel.content import artefacts as content
from irmsentinel.content.aggregations import Aggregation, Span, iso
from irmsentinel.content.durations import format_duration
from irmsentinel.export import windows
from irmsentinel.export.cursor import CursorFile
from irmsentinel.export.export import Export
from irmsentinel.export.outcome import ExportRun, Outcome
from irmsentinel.export.reader import Source

if TYPE_CHECKING:
    from irmsentinel.export.plan import Plan

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_LOCK = "sentinel.lock"

_health = click.option(
    "--health",
    "health",
    type=_FILE,
    help="Tell IRMExportHealth_CL: a collector's settings file, whose rule for it and identity are used.",
)
_health_emulator = click.option(
    "--health-emulator",
    type=_FOLDER,
    help="Report to the emulator of `sentinel collector-emulator` with this directory.",
)


def _guids(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """As a plan has them: in one case, so that a workspace has one cursor however it is written."""
    for value in values:
        if not re.fullmatch(aggregations.GUID, value):
            raise click.BadParameter("a workspace's ID is a GUID, not its name")
    return tuple(dict.fromkeys(value.lower() for value in values))


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter("write it as 2026-11-20T00:00:00Z")
    return moment.astimezone(UTC)


@click.command("aggregations")
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List what can be exported."""
    output, known = voice.of(ctx), aggregations.load()
    rows = [
        (a.name, a.profile, *map(format_duration, (a.window, a.delay)), a.description) for a in known.values()
    ]
    output.table("Aggregations", ("name", "profile", "window", "delay", "what it gives"), rows)
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
    callback=_guids,
    help="A Log Analytics workspace's ID; repeatable.",
)
@click.option("--local", "folder", type=_FOLDER, help="Read this machine's TABLE.jsonl files instead.")
@click.option(
    "--query-emulator",
    type=_FOLDER,
    help="Read from the local emulator of the query API with this directory.",
)
@click.option("--cloud", default="public", show_default=True, help="public, us-government or china.")
@click.option("-p", "--profile", "profile", help="Another profile than the aggregation's.")
@click.option(
    "--emulator",
    type=click.Path(file_okay=False),
    help="Send to the local emulator of the connector with this directory.",
)
@click.option("--dry-run", is_flag=True, help="Read and shape, but keep and send nothing.")
@click.option("--queue-only", is_flag=True, help="Keep the batches; a later drain sends them.")
@click.option("--from", "start", callback=_moment, metavar="TIME", help="Read from here; the cursor stays.")
@click.option("--to", "end", callback=_moment, metavar="TIME", help="Read up to here.")
@_health
@_health_emulator
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
    health: Path | None,
    health_emulator: Path | None,
) -> None:
    """Export the aggregation NAME to the connector: all windows that closed since the last time."""
    if sum(map(bool, (folder, query_emulator, workspaces))) != 1:
        raise click.UsageError("Say where from: --workspace ID, --local DIR or --query-emulator DIR.")
    output, host = voice.of(ctx), hosts.of(ctx)
    aggregation = aggregations.named(name)
    span = _span(aggregation, start, end)
    way = host.way(profile or aggregation.profile, emulator)
    if not dry_run:
        way.prepare()  # before any query: settings that cannot work are told now
    ran: list[ExportRun] = []
    codes: list[int] = []
    with _sources(host, workspaces, folder, query_emulator, cloud) as sources:
        for source, now in sources:
            started = datetime.now(UTC)
            one = Export(aggregation, source, way, on_accepted=partial(way.show, dry=dry_run))
            try:
                outcome = one.run(now, span, dry=dry_run)
            except (IrmError, OSError) as trouble:  # what was accepted before it is sent all the same
                codes.append(host.tell(trouble))
                outcome = _failed(name, source.label, started, trouble)
            else:
                _show(output, outcome, dry=dry_run)
                codes.append(host.code_of_rows(outcome.counts.rejected))
            ran.append(ExportRun(name, source.label, profile or aggregation.profile, way.outbox, outcome))
    try:
        if not dry_run and not queue_only and way.outbox.exists():
            codes.append(way.drain())
    finally:
        if not dry_run:
            _tell(ctx, ran, (health, health_emulator), heartbeats=False)
    output.document([document(one.outcome) for one in ran if one.outcome])
    ctx.exit(host.worst(codes))


def _span(aggregation: Aggregation, start: datetime | None, end: datetime | None) -> Span | None:
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise click.UsageError("--from and --to go together.")
    span = Span(start, end)
    if not windows.is_whole(span, aggregation.window):
        raise click.UsageError(
            f"--from and --to are to be whole windows of {format_duration(aggregation.window)}."
        )
    return span


@contextmanager
def _sources(
    host: Host, workspaces: tuple[str, ...], folder: Path | None, query_emulator: Path | None, cloud: str
) -> Iterator[list[tuple[Source, datetime]]]:
    """Each source with the time it is there."""
    with extra.needed():
        from irmsentinel.azure.identity import Identity
        from irmsentinel.export import sources
    with ExitStack() as ending:
        if folder:
            local = sources.folder(content.load(), folder)
            ending.callback(local.close)
            yield [(local, local.now)]
            return
        now = datetime.now(UTC)
        if query_emulator:
            yield [sources.emulated_workspace(query_emulator)]
            return
        yield [(sources.azure(w, cloud, Identity(), host.environment), now) for w in workspaces]


@click.command("run")
@click.option("--config", type=_FILE, envvar="IRMEXPORT_SENTINEL", help="The file that says what to export.")
@click.option(
    "--query-emulator",
    type=_FOLDER,
    help="Read from the local emulator of the query API with this directory.",
)
@click.option(
    "--emulator",
    type=click.Path(file_okay=False),
    help="Send to the local emulator of the connector with this directory.",
)
@click.option("--queue-only", is_flag=True, help="Keep the batches; a later drain sends them.")
@_health
@_health_emulator
@click.pass_context
def run(
    ctx: click.Context,
    *,
    config: Path | None,
    query_emulator: Path | None,
    emulator: str | None,
    queue_only: bool,
    health: Path | None,
    health_emulator: Path | None,
) -> None:
    """Do what is due, once: for cron and systemd. One export's trouble does not stop the others."""
    output, host = voice.of(ctx), hosts.of(ctx)
    plan = _plan(host, config)
    lock = system_disk().try_lock(str(host.outbox() / _LOCK))
    if lock is None:
        raise OutboxBusy(
            "another run is at work",
            where=str(host.outbox() / _LOCK),
            next_step="Nothing to do: what is due now is done by it or by the next run.",
        )
    try:
        ran: list[ExportRun] = []
        codes, ways = _do_due(output, host, plan, (query_emulator, emulator), ran.append)
        for way in ways if not queue_only else []:
            codes.append(_drained(host, way))
        _tell(ctx, ran, (health or plan.health, health_emulator), heartbeats=True)
    finally:
        lock.release()
    output.document([document(one.outcome) for one in ran if one.outcome])
    ctx.exit(host.worst(codes))


def _do_due(
    output: Voice,
    host: Host,
    plan: Plan,
    emulators: tuple[Path | None, str | None],
    note: Callable[[ExportRun], None],
) -> tuple[list[int], list[Way]]:
    """Each job that is due; exit codes, and the connectors that may have something to send.

    ``note`` is told of each job as it ends, also of one that was not due.
    """
    query_emulator, emulator = emulators
    codes: list[int] = []
    ways: dict[str, Way] = {}
    reach = _reach(host, plan, query_emulator)
    for job in plan.jobs:
        title = f"{job.aggregation.name} of workspace {job.workspace}"
        started, outbox = datetime.now(UTC), None
        outcome: Outcome | None = None
        try:
            way = host.way(job.profile, emulator)
            outbox = way.outbox
            way.prepare()
            ways[way.outbox.path] = way
            source, now = reach(job.workspace)
            one = Export(job.aggregation, source, way, on_accepted=partial(way.show, dry=False))
            due = windows.due_at(job.aggregation, one.read_to(now), now)
            if due > now:
                output.line(f"{title}: not due before {iso(due)}", "dim")
            else:
                output.line(title, "bold")
                outcome = one.run(now)
                codes.append(host.code_of_rows(outcome.counts.rejected))
                _show(output, outcome, dry=False)
        except (IrmError, OSError) as trouble:
            codes.append(host.tell(trouble))
            outcome = _failed(job.aggregation.name, job.workspace, started, trouble)
        note(ExportRun(job.aggregation.name, job.workspace, job.profile, outbox, outcome))
    return codes, list(ways.values())


def _drained(host: Host, way: Way) -> int:
    if not way.outbox.exists():
        return 0
    try:
        return way.drain()
    except (IrmError, OSError) as trouble:
        return host.tell(trouble)


def _tell(
    ctx: click.Context, ran: list[ExportRun], where: tuple[Path | None, Path | None], *, heartbeats: bool
) -> None:
    """Tell IRMExportHealth_CL what the exports came to. If it cannot be told: a warning, never an error."""
    settings, emulator = where
    if settings is None:
        return
    around, clock = voice.surroundings(ctx), SystemClock()
    try:
        with extra.needed():
            from irmsentinel.export import health as export_health
        there = export_health.target(settings, emulator)
        root, origin = around.outbox_ready(), around.origin({})
        reporter = export_health.HealthReporter(
            there, root, around.credential, origin, disk=system_disk(), clock=clock
        )
        reporter.report(ran, heartbeats=heartbeats)
    except (IrmError, OSError) as trouble:
        why = str(trouble) if isinstance(trouble, IrmError) else trouble.strerror
        voice.of(ctx).warn(f"IRMExportHealth_CL was not told: {why}")


def _plan(host: Host, config: Path | None) -> Plan:
    with extra.needed():
        from irmsentinel.export import plan
    file = config or host.configuration / plan.FILE
    if not file.is_file():
        raise ConfigurationError(
            "there is no file that says what to export",
            where=str(file),
            next_step="Write it (docs/sentinel.md), or name another one with --config.",
        )
    return plan.read(file)


def _reach(host: Host, plan: Plan, query_emulator: Path | None) -> Callable[[str], tuple[Source, datetime]]:
    """How a workspace is reached; each is made once, so that its token serves all its exports."""
    from irmsentinel.export import sources

    made: dict[str, tuple[Source, datetime]] = {}

    def reach(workspace: str) -> tuple[Source, datetime]:
        if workspace not in made:
            if query_emulator:
                made[workspace] = sources.emulated_workspace(query_emulator, workspace)
            else:
                made[workspace] = (
                    sources.azure(workspace, plan.cloud, plan.identity, host.environment),
                    datetime.now(UTC),
                )
        return made[workspace]

    return reach


def _failed(aggregation: str, workspace: str, started: datetime, trouble: IrmError | OSError) -> Outcome:
    if isinstance(trouble, IrmError):
        error = {"what": trouble.what, "where": trouble.where, "next_step": trouble.next_step}
    else:
        error = {
            "what": "the file system answered with an error",
            "where": None,
            "next_step": "Look at the disk, then run this again.",
        }
    return Outcome(
        aggregation=aggregation,
        workspace=workspace,
        connector="",
        started=started,
        ended=datetime.now(UTC),
        error={"kind": type(trouble).__name__, **error},
    )


@click.command("status")
@click.option("--config", type=_FILE, envvar="IRMEXPORT_SENTINEL", help="The file that says what to export.")
@click.option(
    "--emulator",
    type=click.Path(file_okay=False),
    help="Use the local emulator of the connector with this directory.",
)
@click.pass_context
def status(ctx: click.Context, *, config: Path | None, emulator: str | None) -> None:
    """Show how far each export of the configuration was read, and when it is due."""
    output, host, now = voice.of(ctx), hosts.of(ctx), datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for job in _plan(host, config).jobs:
        cursor = CursorFile(
            host.way(job.profile, emulator).outbox, job.aggregation.name, job.workspace
        ).load()
        due = windows.due_at(job.aggregation, cursor.read_to if cursor else None, now)
        rows.append(
            {
                "aggregation": job.aggregation.name,
                "workspace": job.workspace,
                "profile": job.profile,
                "read_to": iso(cursor.read_to) if cursor else None,
                "last_read": iso(cursor.at.replace(microsecond=0)) if cursor else None,
                "due": None if due <= now else iso(due),
            }
        )
    shown = [
        (r["aggregation"], r["workspace"], r["profile"], r["read_to"] or "never", r["due"] or "now")
        for r in rows
    ]
    output.table("Exports", ("aggregation", "workspace", "profile", "read to", "due"), shown)
    output.document(rows)


def _show(output: Voice, outcome: Outcome, *, dry: bool) -> None:
    if outcome.span is None:
        read_to = iso(outcome.read_to) if outcome.read_to else "the beginning"
        output.line(f"{outcome.aggregation}: no window has closed since {read_to}")
        return
    asked = "1 query" if outcome.queries == 1 else f"{outcome.queries} queries"
    output.line(
        f"{outcome.aggregation}: read {iso(outcome.span.start)} to {iso(outcome.span.end)} in {asked}"
    )
    if outcome.changed and not dry:
        output.line(
            f"  {outcome.changed:,} rows came before with another number: late data (docs/sentinel.md)"
        )


def document(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain values."""
    plain = asdict(outcome)
    plain["span"] = str(outcome.span) if outcome.span else None
    for key in ("started", "ended", "read_to"):
        moment = getattr(outcome, key)
        plain[key] = iso(moment) if moment else None
    return plain


COMMANDS = (list_, export, run, status)
