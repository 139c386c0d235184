"""`irmexport resume`: a paused connector may send again, and retries need not wait."""

from __future__ import annotations

from pathlib import Path

import click

from irmcli.desks import desk_of
from irmcli.say import Say
from irmcli.settings import Settings


@click.command("resume")
@click.argument("connector", default="", required=False)
@click.pass_context
def command(ctx: click.Context, connector: str) -> None:
    """End the pause of CONNECTOR, or of all, once what was wrong has been put right."""
    say, settings = Say.of(ctx), Settings.of(ctx)
    desk = desk_of(settings)
    results = {}
    for box in desk.choose(connector):
        name = Path(box.path).name
        results[name] = desk.resume(box)
        say.line(f"{name}: {'resumed; `irmexport drain` sends' if results[name] else 'was not paused'}")
    say.document(results)
