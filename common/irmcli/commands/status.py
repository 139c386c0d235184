"""`irmexport status`: what waits, what is held, paused, dead or set aside, why, and what to do."""

from __future__ import annotations

from dataclasses import asdict

import click
from irmcore.clock import iso
from irmcore.delivery import circuit_breaker
from irmcore.operations.status import BatchStatus, ConnectorStatus, connector_status

from irmcli.exit_codes import DONE, NEEDS_PERSON
from irmcli.output import Output, count
from irmcli.session.operations import connectors_of
from irmcli.settings import Settings


@click.command("status")
@click.argument("connector", default="", required=False)
@click.pass_context
def command(ctx: click.Context, connector: str) -> None:
    """Show all connectors, or CONNECTOR. Exits with 4 if a person is needed."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    connectors = connectors_of(settings)
    overviews = [connector_status(outbox) for outbox in connectors.choose(connector)]
    if not overviews:
        output.line(f"Nothing has been sent from {settings.outbox} yet.")
    for overview in overviews:
        _show(output, overview)
    output.document([{**asdict(o), "needs_person": o.needs_person} for o in overviews])
    ctx.exit(NEEDS_PERSON if any(o.needs_person for o in overviews) else DONE)


def _show(output: Output, overview: ConnectorStatus) -> None:
    output.line(overview.title, "bold")
    if overview.trouble:
        output.line(f"  {overview.trouble}", "red")
        return
    if overview.mode == circuit_breaker.CLOSED:
        output.line("  may send", "green")
    else:
        word = "PAUSED" if overview.mode == circuit_breaker.PAUSED else "HELD BACK (breaker)"
        output.line(f"  {word} since {iso(overview.since)}: {overview.reason}", "yellow")
        output.line(f"  next probe {iso(overview.next_probe)}")
        output.line(f"  {overview.next_step}")
    oldest = f", the oldest since {iso(overview.oldest)}" if overview.queued else ""
    output.line(f"  queued: {count(overview.queued, 'batch')}, {count(overview.rows_queued, 'row')}{oldest}")
    if overview.retry_at:
        output.line(f"  next retry {iso(overview.retry_at)}")
    rows = [(item.id[:12], item.state, item.rows, iso(item.since), item.reason) for item in overview.items]
    output.table("  Needs a person", ("batch", "state", "rows", "since", "why"), rows)
    for reason, step in _steps(overview.items):
        output.line(f"  {reason}: {step}")


def _steps(items: tuple[BatchStatus, ...]) -> list[tuple[str, str]]:
    """Each reason once, with its next step."""
    return list({item.reason: item.next_step for item in items if item.next_step}.items())
