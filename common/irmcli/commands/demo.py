"""`irmexport demo`: the main job from end to end on this machine alone, act by act. No cloud."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from irmcli import plugins
from irmcli.demo import steps as acts
from irmcli.exit_codes import DONE, FAILED
from irmcli.output import Output
from irmcli.settings import Settings


@click.command("demo")
@click.option(
    "--directory", type=click.Path(file_okay=False, path_type=Path), help="Keep all of it here, to look at."
)
@click.pass_context
def command(ctx: click.Context, directory: Path | None) -> None:
    """Send Microsoft's two examples to a local stand-in over HTTPS, and show what it kept."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    with tempfile.TemporaryDirectory(prefix="irmexport-demo-") as temporary:
        place = directory or Path(temporary)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Acts from outside find the same outbox, and the connector at place/"emulator".
        ctx.meta["irmexport.settings"] = settings = replace(settings, outbox=place / "outbox")
        with acts.connector(output, place) as running:
            verdicts = acts.play(output, settings, place, running)
            for point in sorted(plugins.points(plugins.DEMOS), key=lambda point: point.name):
                act: Callable[[Output, Path], list[acts.Verdict]] = point.load()
                verdicts.extend(act(output, place))
    output.line()
    for text, good in verdicts:
        output.line(text, "green" if good else "red")
    output.document([{"act": text, "good": good} for text, good in verdicts])
    ctx.exit(DONE if all(good for _, good in verdicts) else FAILED)
