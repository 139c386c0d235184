"""`irmexport sentinel subscribe|collect|…`: the subcommands of the collector."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.errors import ConfigurationError, IrmError

from irmsentinel.cli import extra, voice
from irmsentinel.cli import host as hosts

if TYPE_CHECKING:
    from irmsentinel.collector.management_api import Feed
    from irmsentinel.collector.rounds import Round
    from irmsentinel.collector.service import CollectorService
    from irmsentinel.collector.settings import CollectorSettings

DONE, WAITING, NEEDS_PERSON = 0, 1, 4  # as `irmexport --help` says
_FOLDER = click.Path(file_okay=False, path_type=Path)
_settings = click.option(
    "-s",
    "--settings",
    "file",
    default="collector.yaml",
    show_default=True,
    help="The collector's settings; `irmexport sentinel settings` prints a form.",
)
_emulator = click.option(
    "--emulator",
    type=_FOLDER,
    help="Use the local emulator with this directory instead of Microsoft's services.",
)


@click.command("settings")
def settings_() -> None:
    """Print a settings file of the collector, to be filled in."""
    with extra.needed():
        from irmsentinel.collector.settings import TEMPLATE
    click.echo(TEMPLATE, nl=False)


@click.group("subscribe")
def subscribe() -> None:
    """The tenant's subscription to Audit.General, which IRM alerts come by."""


@subscribe.command("start")
@_settings
@_emulator
@click.pass_context
def start(ctx: click.Context, *, file: str, emulator: Path | None) -> None:
    """Begin the subscription; does nothing if it is enabled."""
    output = voice.of(ctx)
    with _words():
        new = _feed(ctx, file, emulator).start()
    output.line("Subscribed to Audit.General." if new else "The subscription is enabled already.")
    if new:
        output.line("The first content can take 12 hours; wait 15 minutes before another start.")
    output.document({"started": new})


@subscribe.command("stop")
@_settings
@_emulator
@click.pass_context
def stop(ctx: click.Context, *, file: str, emulator: Path | None) -> None:
    """End the subscription. What happens until it is started again is never delivered."""
    output = voice.of(ctx)
    with _words():
        ended = _feed(ctx, file, emulator).stop()
    output.line("The subscription to Audit.General has ended." if ended else "There was no subscription.")
    output.document({"stopped": ended})


@subscribe.command("list")
@_settings
@_emulator
@click.pass_context
def list_(ctx: click.Context, *, file: str, emulator: Path | None) -> None:
    """List the tenant's subscriptions."""
    output = voice.of(ctx)
    with _words():
        found = _feed(ctx, file, emulator).subscriptions()
    output.table("Subscriptions", ("content type", "status"), [(s.content_type, s.status) for s in found])
    if not found:
        output.line("There are no subscriptions.")
    output.document([{"content_type": s.content_type, "status": s.status} for s in found])


@subscribe.command("status")
@_settings
@_emulator
@click.pass_context
def status(ctx: click.Context, *, file: str, emulator: Path | None) -> None:
    """Say whether the subscription works, and how far the collector is. Exits with 1 if it does not."""
    with extra.needed():
        from irmsentinel.collector import cursor
    output, station = voice.of(ctx), _station(ctx, file, emulator)
    with _words():
        now = station.feed.check()
        first = next(iter(station.feed.content(int(now) - 86_399, int(now))), None)
    at = cursor.load(station.outbox) if station.outbox.exists() else cursor.Cursor()
    output.line("The subscription to Audit.General is enabled.")
    if first is None:
        output.line(
            "No content in the last 24 hours. After a start the first can take 12 hours; alerts come hourly."
        )
    if at.collected:
        done = cursor.acknowledged(station.outbox, at)
        output.line(
            f"Collected until {_moment(at.collected)}; acknowledged by the workspace until {_moment(done)}."
        )
    else:
        output.line("Nothing was collected yet: irmexport sentinel collect")
    for gap in at.gaps:
        output.line(f"  gap {_moment(gap.start)} to {_moment(gap.end)}: {gap.why}", "yellow")
    output.document(
        {"enabled": True, "content": first is not None, "collected": at.collected, "gone": at.gone}
    )


@click.command("collect")
@_settings
@_emulator
@click.option("--once", is_flag=True, help="One round, then end: for cron and systemd timers.")
@click.option("--every", default=15, show_default=True, type=click.IntRange(1, 720), help="Minutes.")
@click.option(
    "--backfill", is_flag=True, help="Read all that the API has, 7 days; known records are skipped."
)
@click.pass_context
def collect(
    ctx: click.Context, *, file: str, emulator: Path | None, once: bool, every: int, backfill: bool
) -> None:
    """Bring IRM alerts from the Management Activity API into the workspace.

    Exits with 0 if all is in the workspace, 1 if something waits, 4 if a person is needed or content is lost.
    """
    output, station = voice.of(ctx), _station(ctx, file, emulator)
    first = True
    while True:
        try:
            result = _round(output, station, backfill=backfill and first)
        except IrmError as error:
            if once or (first and isinstance(error, ConfigurationError)):
                raise
            output.line(str(error), "red")
        else:
            if once:
                _document(output, result)
                ctx.exit(_code(result))
        first = False
        try:
            time.sleep(60 * every)
        except KeyboardInterrupt:
            return


def _round(output: voice.Voice, station: CollectorService, *, backfill: bool) -> Round:
    last = time.monotonic()

    def told(done: Any, sent: int) -> None:
        nonlocal last
        if time.monotonic() - last >= 5:  # noqa: PLR2004 - a line every five seconds is company enough
            last = time.monotonic()
            output.line(f"  … {done.fetched:,} blobs, {done.new:,} new records, {sent:,} acknowledged", "dim")

    result = station.round(backfill=backfill, progress=told)
    show(output, result)
    return result


def show(output: voice.Voice, result: Round) -> None:
    """What a round came to."""
    done = result.collected
    output.line(
        f"{done.listed:,} blobs listed: {done.known:,} known, {done.fetched:,} fetched, {done.gone:,} gone, "
        f"{done.failed:,} failed; {done.read:,} records read"
    )
    cut = f", {done.cut:,} with a value too long" if done.cut else ""
    output.line(f"{done.wanted:,} IRM alert records: {done.new:,} new, {done.repeated:,} known before{cut}")
    output.line(
        f"{result.acknowledged_rows:,} rows acknowledged by the workspace; all until {_until(result)}"
    )
    for gap in done.gaps:
        output.line(
            f"GAP {_moment(gap.start)} to {_moment(gap.end)}: {gap.why}; it cannot be fetched any more", "red"
        )
    if done.warning:
        output.line(done.warning, "yellow")
    overview = result.overview
    if overview.queued or overview.needs_person:
        output.line(
            f"{overview.rows_queued:,} rows wait in the outbox: {overview.reason or 'irmexport status'}",
            "yellow",
        )
        if overview.next_step:
            output.line(f"  {overview.next_step}", "yellow")


def _until(result: Round) -> str:
    return _moment(result.acknowledged) if result.acknowledged else "now nothing"


def _document(output: voice.Voice, result: Round) -> None:
    done = {**vars(result.collected), "gaps": [vars(gap) for gap in result.collected.gaps]}
    acknowledged = {"acknowledged_rows": result.acknowledged_rows, "acknowledged": result.acknowledged}
    output.document({**done, **acknowledged, "waiting": result.overview.queued})


def _code(result: Round) -> int:
    if result.overview.needs_person or result.collected.gaps:
        return NEEDS_PERSON
    return DONE if result.collected.complete and not result.overview.queued else WAITING


@click.command("health")
@_settings
@_emulator
@click.pass_context
def health(ctx: click.Context, *, file: str, emulator: Path | None) -> None:
    """Write a heartbeat of every connector on this machine to IRMExportHealth_CL."""
    output, station = voice.of(ctx), _station(ctx, file, emulator)
    if station.settings.health is None:
        raise ConfigurationError(
            "`health_rule_id` is not set",
            where=file,
            next_step="It is the rule that fills IRMExportHealth_CL.",
        )
    there = station.report()
    if there is not None and (there.queued or there.needs_person):
        output.line(
            f"{there.rows_queued:,} rows wait in the outbox: {there.reason or 'irmexport status'}", "yellow"
        )
        ctx.exit(NEEDS_PERSON if there.needs_person else WAITING)
    output.line("Heartbeats of this machine's connectors were written to IRMExportHealth_CL.")


@click.command("table")
@click.option("--workspace", help="This Log Analytics workspace (its id).")
@click.option("--cloud", default="public", show_default=True, help="public, us-government or china.")
@click.option(
    "--emulator", type=_FOLDER, help="Use the emulator of `irmexport sentinel emulator` with this directory."
)
@click.pass_context
def table(ctx: click.Context, *, workspace: str | None, cloud: str, emulator: Path | None) -> None:
    """Say in which shape Compliance_IRM_AuditGeneral_CL is, and what that means for `collect`."""
    with extra.needed():
        from irmsentinel.export import sources
    from irmsentinel.collector import table_shape

    if bool(workspace) == bool(emulator):
        raise click.UsageError("Say where: --workspace ID or --emulator DIR.")
    found = table_shape.find(sources.remote(workspace, cloud, emulator, hosts.of(ctx).environment).query)
    output = voice.of(ctx)
    output.line(f"Compliance_IRM_AuditGeneral_CL is {found.shape}: {found.message}")
    if found.next_step:
        output.line(f"  {found.next_step}")
    output.document({"shape": found.shape, "ready": found.ready})
    ctx.exit(DONE if found.ready else NEEDS_PERSON)


@click.command("collector-emulator")
@click.option("--directory", type=_FOLDER, default=Path("irmexport-collector"), show_default=True)
@click.option("--alerts", default=20, show_default=True, help="Synthetic alerts in the last three days.")
@click.option("--port", default=0, help="0: any free port.")
@click.option(
    "--lifetime",
    type=click.FloatRange(min=0, min_open=True, max=7 * 86_400),
    default=3600.0,
    show_default=True,
    help="Seconds after which it stops.",
)
@click.pass_context
def emulator_(ctx: click.Context, *, directory: Path, alerts: int, port: int, lifetime: float) -> None:
    """Run a local emulator of the Management API and of Logs Ingestion, on this machine only."""
    with extra.needed():
        from irmsentinel.emulators.collector_session import running_emulator
    output = voice.of(ctx)
    with running_emulator(directory, alerts=alerts, port=port, lifetime=lifetime) as running:
        output.line(f"An emulator of the collector's services, not Microsoft's: {running.url}")
        output.line(
            f"  irmexport sentinel subscribe start -s {directory}/collector.yaml --emulator {directory}"
        )
        output.line(f"It stops after {lifetime:,.0f} s, or when you press Ctrl-C.")
        with contextlib.suppress(KeyboardInterrupt):
            running.wait()


COMMANDS = (settings_, subscribe, collect, health, table, emulator_)


def _station(ctx: click.Context, file: str, emulator: Path | None) -> CollectorService:
    with extra.needed():
        from irmsentinel.collector.service import CollectorService
    around = voice.surroundings(ctx)
    return CollectorService(
        _read(file, emulator),
        around.outbox_ready(),
        around.credential,
        around.origin({}),
        disk=system_disk(),
        clock=SystemClock(),
    )


def _feed(ctx: click.Context, file: str, emulator: Path | None) -> Feed:
    with extra.needed():
        from irmsentinel.collector import rate_limit as limiter
        from irmsentinel.collector import service as station
    settings, clock = _read(file, emulator), SystemClock()
    limits = limiter.RateLimiter(settings.requests_per_minute, clock)
    return station.feed(settings, voice.surroundings(ctx).credential, limits, clock)


def _read(file: str, emulator: Path | None) -> CollectorSettings:
    with extra.needed():
        from irmsentinel.collector import settings as collector_settings
        from irmsentinel.emulators.collector_session import use_emulator
    settings = collector_settings.read(file)
    return settings if emulator is None else use_emulator(settings, emulator)


@contextmanager
def _words() -> Iterator[None]:
    """Around requests to the API: a fault as what happened, where, and the next step."""
    from irmcore.http.auth import TokenTrouble

    from irmsentinel.collector import collector
    from irmsentinel.collector.api_errors import ApiError

    try:
        yield
    except ApiError as fault:
        raise collector.api_failure(fault) from None
    except TokenTrouble as trouble:
        raise collector.token_failure(trouble) from None


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
