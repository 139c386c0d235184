"""`irmexport status`: what waits, what is held, paused, dead or set aside, why, and what to do."""

from __future__ import annotations

from dataclasses import asdict

import click
from irmcore import gate as gates
from irmcore.clock import iso
from irmcore.desk import Item, Overview

from irmcli.desks import desk_of
from irmcli.exits import DONE, NEEDS_PERSON
from irmcli.say import Say, count
from irmcli.settings import Settings


@click.command("status")
@click.argument("connector", default="", required=False)
@click.pass_context
def command(ctx: click.Context, connector: str) -> None:
    """Show all connectors, or CONNECTOR. Exits with 4 if a person is needed."""
    say, settings = Say.of(ctx), Settings.of(ctx)
    desk = desk_of(settings)
    overviews = [desk.overview(box) for box in desk.choose(connector)]
    if not overviews:
        say.line(f"Nothing has been sent from {settings.outbox} yet.")
    for overview in overviews:
        _show(say, overview)
    say.document([{**asdict(o), "needs_person": o.needs_person} for o in overviews])
    ctx.exit(NEEDS_PERSON if any(o.needs_person for o in overviews) else DONE)


def _show(say: Say, overview: Overview) -> None:
    say.line(overview.name, "bold")
    if overview.trouble:
        say.line(f"  {overview.trouble}", "red")
        return
    if overview.mode == gates.OPEN:
        say.line("  may send", "green")
    else:
        word = "PAUSED" if overview.mode == gates.PAUSED else "HELD BACK (breaker)"
        say.line(f"  {word} since {iso(overview.since)}: {overview.reason}", "yellow")
        say.line(f"  next probe {iso(overview.next_probe)}")
        say.line(f"  {overview.next_step}")
    oldest = f", the oldest since {iso(overview.oldest)}" if overview.queued else ""
    say.line(f"  queued: {count(overview.queued, 'batch')}, {count(overview.rows_queued, 'row')}{oldest}")
    if overview.retry_at:
        say.line(f"  next retry {iso(overview.retry_at)}")
    rows = [(item.id[:12], item.state, item.rows, iso(item.since), item.reason) for item in overview.items]
    say.table("  Needs a person", ("batch", "state", "rows", "since", "why"), rows)
    for reason, step in _steps(overview.items):
        say.line(f"  {reason}: {step}")


def _steps(items: tuple[Item, ...]) -> list[tuple[str, str]]:
    """Each reason once, with its next step."""
    return list({item.reason: item.next_step for item in items if item.next_step}.items())
