"""`irmexport sentinel run` and `status`: the exports that a configuration file lists."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from irmcli.exit_codes import DONE, code_of, code_of_rows, known_error, worst
from irmcli.extras import sentinel_extra
from irmcli.output import Output
from irmcli.session.connector_session import ConnectorSession
from irmcli.session.limits_output import show_limits
from irmcli.settings import Settings
from irmcore.disk import system_disk
from irmcore.errors import ConfigurationError, IrmError, OutboxBusy
from irmcore.profile.published_limits import of_profiles

from irmsentinel.cli import options
from irmsentinel.cli.export_output import failed_outcome, outcome_document, report_health, show_outcome
from irmsentinel.content.aggregations import iso
from irmsentinel.export import windows
from irmsentinel.export.cursor import CursorFile
from irmsentinel.export.export import Export
from irmsentinel.export.outcome import ExportRun, Outcome
from irmsentinel.export.reader import Source

if TYPE_CHECKING:
    from irmsentinel.export.plan import Job, Plan

_LOCK = "sentinel.lock"


@click.command("run")
@options.config
@options.query_emulator
@options.connector_emulator
@options.queue_only
@options.health
@options.health_emulator
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
    """Run every export that is due, once.

    It is for cron and systemd. An error in one does not stop the others.

    Example: irmexport sentinel run
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    plan = _plan(settings, config)
    path = f"{settings.outbox_ready()}/{_LOCK}"
    lock = system_disk().try_lock(path)
    if lock is None:
        raise OutboxBusy(
            "another run is in progress",
            where=path,
            next_step="Nothing to do: that run or the next one does what is due.",
        )
    try:
        _show_limits(output, settings, plan)
        exports = _DueExports(output, settings, plan, query_emulator, emulator)
        exports.run()
        if not queue_only:
            exports.drain()
        exports.show_stopped()
        file = health or plan.health
        report_health(output, settings, exports.ran, file=file, emulator=health_emulator, heartbeats=True)
    finally:
        lock.release()
    output.document([outcome_document(one.outcome) for one in exports.ran if one.outcome])
    ctx.exit(worst(exports.codes))


def _show_limits(output: Output, settings: Settings, plan: Plan) -> None:
    """What the profiles of the plan, all together, come near to or pass of the published limits."""
    profiles = []
    for name in dict.fromkeys(job.profile for job in plan.jobs):
        with suppress(IrmError):  # its own exports report it
            profiles.append(settings.profile(name))
    show_limits(output, of_profiles(profiles), profiles)


class _DueExports:
    """The exports of a plan. ``ran`` and ``codes`` collect what happened to each."""

    def __init__(
        self,
        output: Output,
        settings: Settings,
        plan: Plan,
        query_emulator: Path | None,
        emulator: str | None,
    ) -> None:
        self._output = output
        self._settings = settings
        self._plan = plan
        self._emulator = emulator
        self._source = _source_of(settings, plan, query_emulator)
        self._sessions: dict[str, ConnectorSession] = {}
        self.ran: list[ExportRun] = []
        self.codes: list[int] = []
        self._stopped: dict[str, list[str]] = {}  # by each error, what it stopped

    def run(self) -> None:
        """Run the exports that are due; ``ran`` also has those that are not."""
        for job in self._plan.jobs:
            started = datetime.now(UTC)
            session: ConnectorSession | None = None
            outcome: Outcome | None = None
            try:
                session = _session(self._output, self._settings, job, self._emulator)
                session.prepare()
                self._sessions[session.outbox.path] = session
                outcome = self._run(job, session)
            except (IrmError, OSError) as raised:
                self._report(raised, _title(job))
                outcome = failed_outcome(job.aggregation.name, job.workspace, started, raised)
            outbox = session.outbox if session else None
            self.ran.append(ExportRun(job.aggregation.name, job.workspace, job.profile, outbox, outcome))

    def _run(self, job: Job, session: ConnectorSession) -> Outcome | None:
        title = _title(job)
        source, now = self._source(job.workspace)
        one = Export(job.aggregation, source, session, on_accepted=partial(session.show, dry=False))
        due = windows.due_at(job.aggregation, one.read_to(now), now)
        if due > now:
            self._output.line(f"{title}: not due before {iso(due)}", "dim")
            return None
        self._output.line(title, "bold")
        outcome = one.run(now)
        self.codes.append(code_of_rows(outcome.counts.rejected))
        show_outcome(self._output, outcome, dry=False)
        return outcome

    def drain(self) -> None:
        """Send what is queued for the connectors of the plan."""
        for session in self._sessions.values():
            try:
                self.codes.append(session.drain() if session.outbox.exists() else DONE)
            except (IrmError, OSError) as raised:
                self._report(raised, f"sending from {session.outbox.name}")

    def _report(self, raised: IrmError | OSError, stopped: str) -> None:
        """Print an error once, whatever it stops: without a sign-in it stops every export."""
        error = known_error(raised)
        self.codes.append(code_of(error))
        if str(error) not in self._stopped:
            self._output.partial_error(raised)
        self._stopped.setdefault(str(error), [error.what]).append(stopped)

    def show_stopped(self) -> None:
        """Print what an error stopped, if that is more than one thing."""
        for what, *stopped in self._stopped.values():
            if len(stopped) > 1:
                self._output.warn(f"{what}: this stopped {', '.join(stopped)}")


def _title(job: Job) -> str:
    return f"{job.aggregation.name} of workspace {job.workspace}"


def _session(output: Output, settings: Settings, job: Job, emulator: str | None) -> ConnectorSession:
    return ConnectorSession.of(output, settings, settings.profile(job.profile), emulator)


def _plan(settings: Settings, config: Path | None) -> Plan:
    with sentinel_extra():
        from irmsentinel.export import plan
    file = config or settings.configuration / plan.FILE
    if not file.is_file():
        raise ConfigurationError(
            "the file that lists the exports is missing",
            where=str(file),
            next_step="Create it (docs/sentinel.md), or give another path with --config.",
        )
    return plan.read(file)


def _source_of(
    settings: Settings, plan: Plan, query_emulator: Path | None
) -> Callable[[str], tuple[Source, datetime]]:
    """Returns the source and current time of a workspace; all exports of a workspace share one token."""
    from irmsentinel.export import sources

    created: dict[str, tuple[Source, datetime]] = {}

    def source(workspace: str) -> tuple[Source, datetime]:
        if workspace not in created:
            if query_emulator:
                created[workspace] = sources.emulated_workspace(query_emulator, workspace)
            else:
                created[workspace] = (
                    sources.azure(workspace, plan.cloud, plan.identity, settings.environment),
                    datetime.now(UTC),
                )
        return created[workspace]

    return source


@click.command("status")
@options.config
@options.connector_emulator
@click.pass_context
def status(ctx: click.Context, *, config: Path | None, emulator: str | None) -> None:
    """Show how far each export has read and when it is due.

    Example: irmexport sentinel status
    """
    output, settings, now = Output.of(ctx), Settings.of(ctx), datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for job in _plan(settings, config).jobs:
        outbox = _session(output, settings, job, emulator).outbox
        cursor = CursorFile(outbox, job.aggregation.name, job.workspace).load()
        due = windows.due_at(job.aggregation, cursor.read_to if cursor else None, now)
        rows.append(
            {
                "aggregation": job.aggregation.name,
                "workspace": job.workspace,
                "profile": job.profile,
                "read_to": iso(cursor.read_to) if cursor else None,
                "last_read": iso(cursor.at.replace(microsecond=0)) if cursor else None,
                "due": None if due <= now else iso(due),
                "no_rows": asdict(cursor.no_rows) if cursor and cursor.no_rows else None,
            }
        )
    shown = [
        (r["aggregation"], r["workspace"], r["profile"], r["read_to"] or "never", r["due"] or "now")
        for r in rows
    ]
    output.table("Exports", ("aggregation", "workspace", "profile", "read to", "due"), shown)
    for row in rows:
        if row["no_rows"]:
            output.warn(f"{row['aggregation']} of {row['workspace']}: no rows: {row['no_rows']['text']}")
    output.document(rows)
