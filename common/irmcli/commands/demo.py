"""`irmexport demo`: the main job from end to end on this machine, step by step. Needs no cloud."""

import tempfile
from dataclasses import replace
from pathlib import Path

import click
from irmsentinel.cli import demo as sentinel_demo

from irmcli.demo import steps
from irmcli.exit_codes import DONE, FAILED
from irmcli.output import Output
from irmcli.settings import Settings


@click.command("demo")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep everything the demo creates in this directory.",
)
@click.pass_context
def command(ctx: click.Context, directory: Path | None) -> None:
    """Send Microsoft's examples to a local emulator.

    Shows what the emulator saved.

    Example: irmexport demo
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    with tempfile.TemporaryDirectory(prefix="irmexport-demo-") as temporary:
        root = directory or Path(temporary)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = replace(settings, outbox=root / "outbox")
        with steps.connector(output, root) as emulator:
            results = steps.run(output, settings, root, emulator)
            results += sentinel_demo.run(output, settings, root)
    output.line()
    for text, good in results:
        output.line(text, "green" if good else "red")
    output.document([{"act": text, "good": good} for text, good in results])
    ctx.exit(DONE if all(good for _, good in results) else FAILED)
