"""`irmexport canary`: send a marked row for a test account, and measure when an alert about it comes back."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

import click
from irmcli import options as shared
from irmcli.exit_codes import DONE, NEEDS_PERSON, ROWS_REFUSED, code_of, worst
from irmcli.extras import sentinel_extra
from irmcli.output import Output, count
from irmcli.reporting.figures import duration
from irmcli.session.connector_session import ConnectorSession
from irmcli.settings import Settings
from irmcore.clock import iso
from irmcore.errors import IrmError
from irmcore.outbox import Outbox
from irmcore.profile import Profile
from irmcore.shaping.readers import mappings_table

from irmsentinel.canary import record, sightings
from irmsentinel.canary import row as rows
from irmsentinel.canary.record import Record, Upload
from irmsentinel.canary.sightings import GRAPH
from irmsentinel.cli import options
from irmsentinel.cli.collector_session import api_errors, open_graph

#: The longest look-back in seconds. What came later than that is not measured.
_LOOK_BACK = 30 * 86_400
#: What has alerts: account and start → the times of their changes, by the name of the source.
Source = Callable[[str, float], dict[str, list[float]]]


@click.group("canary")
def command() -> None:
    """Send rows of a test account, and look for its alerts."""


@command.command("send")
@click.argument("profile_name", metavar="PROFILE")
@click.option("--user", "account", required=True, help="Test account that nobody works with.")
@shared.emulator
@click.pass_context
def send(ctx: click.Context, *, profile_name: str, account: str, emulator_dir: str | None) -> None:
    """Send one marked row for a test account through PROFILE.

    Each run sends a new row. Use an account that serves nothing else: the row says about it what it would
    say about a person.

    Example: irmexport canary send leaver-prediction --user TESTACCOUNT
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    profile = rows.readable(settings.profile(profile_name))
    session = ConnectorSession.of(output, settings, profile, emulator_dir)
    session.prepare()
    upload, code = send_row(output, session, profile, account)
    received = upload.receipt if upload is not None else None
    output.document({"accepted": upload is not None, "receipt": iso(received) if received else None})
    ctx.exit(code)


def send_row(
    output: Output, session: ConnectorSession, profile: Profile, account: str
) -> tuple[Upload | None, int]:
    """Accept a row, record it, deliver it. Returns the upload, None if it was refused, and the exit code.

    If this is killed before the accepted row is recorded, the row is sent and not measured.
    """
    outbox, account = session.outbox, account.strip().lower()
    record.check_account(outbox, account)
    marker = f"canary-{uuid.uuid4().hex[:12]}"
    row = rows.row(profile, account, marker, outbox.clock.now())
    table = mappings_table([row], profile.fields)
    done = session.accept(table, name="canary", details={"canary": marker})
    session.show(done, dry=False)
    if not done.batches:
        return None, ROWS_REFUSED
    upload, new = Upload(marker, done.batches[0]), Record(account, outbox.clock.now())
    record.update(outbox, lambda known: known.uploads.append(upload), new)
    try:
        code = session.drain()
    except (IrmError, OSError) as raised:  # the row is accepted and recorded, whatever stops the delivery
        error = output.partial_error(raised)
        code = code_of(error)
    updated = record.update(outbox, lambda known: known.add_receipts(outbox))
    return next(one for one in updated.uploads if one.marker == marker), code


@command.command("look")
@click.argument("profile_name", metavar="PROFILE")
@shared.emulator
@click.option(
    "--graph",
    "graph_settings",
    metavar="FILE",
    help="Look in Microsoft Graph, with the identity of this collector settings file.",
)
@click.option(
    "--graph-emulator",
    type=options.FOLDER,
    help="Look in the emulator of `sentinel collector-emulator` with this directory.",
)
@click.option(
    "--workspace",
    help="Look in the workspace with this ID; the function `IRMAlerts` must be deployed there.",
)
@options.cloud
@options.query_emulator
@click.option(
    "--limit",
    callback=shared.period,
    metavar="PERIOD",
    help="Exit with 4 if nothing was seen for longer than this in a source that was looked at: 36h, 7d.",
)
@click.pass_context
def look(
    ctx: click.Context,
    *,
    profile_name: str,
    emulator_dir: str | None,
    graph_settings: str | None,
    graph_emulator: Path | None,
    workspace: str | None,
    cloud: str,
    query_emulator: Path | None,
    limit: int | None,
) -> None:
    """Look for alerts and activities of the test account.

    Measures how long they took.

    Nothing proves that they come from the row: Microsoft publishes no delay and joins new
    insights into existing alerts.

    Example: irmexport canary look leaver-prediction --graph collector.yaml --limit 7d
    """
    if graph_emulator and not graph_settings:
        raise click.UsageError("--graph-emulator needs the settings: --graph FILE.")
    if not (graph_settings or workspace or query_emulator):
        raise click.UsageError("Choose where to look: --graph FILE, --workspace ID or both.")
    output, settings = Output.of(ctx), Settings.of(ctx)
    settings.outbox_checked()
    outbox = ConnectorSession.of(output, settings, settings.profile(profile_name), emulator_dir).outbox
    now = outbox.clock.now()
    sources: dict[str, Source] = {}
    if graph_settings:
        feed = open_graph(settings, graph_settings, graph_emulator)
        sources[GRAPH] = lambda account, since: sightings.of_graph(feed, account, since, now)
    if workspace or query_emulator:
        with sentinel_extra():
            from irmsentinel.export import sources as workspaces
        found = workspaces.remote(workspace, cloud, query_emulator, settings.environment)
        sources["the workspace"] = partial(sightings.of_workspace, found)
    ctx.exit(look_for(output, outbox, sources, limit=limit, now=now))


def look_for(
    output: Output, outbox: Outbox, sources: Mapping[str, Source], *, limit: int | None, now: float
) -> int:
    """Look into each source by its name, record and print what was found. Returns the exit code.

    What one source has is durable before the next is queried; one that fails does not stop the others.
    """
    codes = [DONE]
    errors: list[str] = []
    known = record.update(outbox, lambda one: one.add_receipts(outbox))
    since = max(min((at for at, _ in known.confirmed()), default=now), now - _LOOK_BACK)
    for source in sources.values():
        try:
            with api_errors(GRAPH):
                found = source(known.account, since)
            known = record.update(outbox, methodcaller("add", found))
        except IrmError as error:
            output.partial_error(error)
            errors.append(str(error))
            codes.append(code_of(error))
    results = [_result(known, name, limit, now) for name in _names(known, sources)]
    _show(output, known, results)
    late = [str(result["source"]) for result in results if result["past_limit"]]
    if late:
        output.warn(
            f"nothing was seen for longer than the limit in {', '.join(late)}. Check that rows are sent "
            "(`irmexport status`), and that a policy uses the connector's indicators and covers the account"
        )
        codes.append(NEEDS_PERSON)
    counts = {"sent": len(known.uploads), "confirmed": len(known.confirmed())}
    output.document({**counts, "sources": results, "errors": errors})
    return worst(codes)


def _names(known: Record, sources: Mapping[str, Source]) -> list[str]:
    """What to report: Graph, and each table in which something was ever seen, or else the workspace."""
    tables = [name for name in known.last if name != GRAPH]
    return [name for source in sources for name in ([GRAPH] if source == GRAPH else tables or [source])]


def _result(known: Record, name: str, limit: int | None, now: float) -> dict[str, Any]:
    """What is known of a source; delays in seconds."""
    delays, last = known.delays(name), known.last.get(name)
    return {
        "source": name,
        "last_seen": iso(last) if last is not None else None,
        "measured": len(delays),
        "shortest": min(delays, default=None),
        "median": statistics.median(delays) if delays else None,
        "longest": max(delays, default=None),
        "past_limit": limit is not None and now - (last or known.since) > limit,
    }


def _show(output: Output, known: Record, results: Sequence[Mapping[str, Any]]) -> None:
    output.line(f"{count(len(known.uploads), 'row')} sent, {len(known.confirmed()):,} confirmed")
    figures = ("shortest", "median", "longest")
    output.table(
        "Alerts and activities of the test account",
        ("source", "last seen", "delays", *figures),
        [
            (
                *(one["source"], one["last_seen"] or "never", one["measured"]),
                *(duration(one[figure]) for figure in figures),
            )
            for one in results
        ],
    )
    output.line("Unverified: nothing proves that an alert or activity comes from the row.", "dim")
