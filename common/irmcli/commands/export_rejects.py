"""`irmexport export-rejects`: print the refused rows of all runs as one CSV."""

from __future__ import annotations

from pathlib import Path

import click
from irmcore.outbox.runs import reject_files

from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings


@click.command("export-rejects")
@click.argument("connector", default="", required=False)
@click.option("--list", "only_list", is_flag=True, help="Print only the paths of the files.")
@click.pass_context
def command(ctx: click.Context, *, connector: str, only_list: bool) -> None:
    """Print the refused rows of CONNECTOR, or of all, with line, column, reason and advice.

    The rows are personal data.

    Example: irmexport export-rejects leaver-prediction
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    connectors = connectors_of(settings)
    paths = [path for outbox in connectors.choose(connector) for path in reject_files(outbox)]
    output.document(paths)
    if only_list or output.as_json:
        for path in paths:
            output.line(path)
        return
    for number, path in enumerate(paths):
        data = Path(path).read_bytes()
        # Every file has the same header; print it once.
        output.raw(data if number == 0 else data.split(b"\r\n", 1)[1])
    if not paths:
        output.warn("no rows were refused")
