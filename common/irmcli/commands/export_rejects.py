"""`irmexport export-rejects`: the refused rows of all runs, as one CSV."""

from __future__ import annotations

from pathlib import Path

import click

from irmcli.desks import desk_of
from irmcli.say import Say
from irmcli.settings import Settings


@click.command("export-rejects")
@click.argument("connector", default="", required=False)
@click.option("--list", "only_list", is_flag=True, help="Only the files' paths.")
@click.pass_context
def command(ctx: click.Context, *, connector: str, only_list: bool) -> None:
    """Print the refused rows with line, column, reason and advice, of CONNECTOR or all: data about people."""
    say, settings = Say.of(ctx), Settings.of(ctx)
    desk = desk_of(settings)
    paths = [path for box in desk.choose(connector) for path in desk.reject_files(box)]
    say.document(paths)
    if only_list or say.as_json:
        for path in paths:
            say.line(path)
        return
    for number, path in enumerate(paths):
        data = Path(path).read_bytes()
        # One header for all: every file has the same.
        say.raw(data if number == 0 else data.split(b"\r\n", 1)[1])
    if not paths:
        say.warn("no row was refused")
