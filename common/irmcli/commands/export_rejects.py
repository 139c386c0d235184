"""`irmexport export-rejects`: print the refused rows of runs as a CSV file that can be corrected and sent."""

from __future__ import annotations

from pathlib import Path

import click
from irmcore.outbox import Outbox, audit_log
from irmcore.outbox.runs import reject_files
from irmcore.shaping import corrections

from irmcli.output import Output
from irmcli.session.connectors import connectors_of
from irmcli.session.private_file import write_new
from irmcli.settings import Settings


@click.command("export-rejects")
@click.argument("connector", default="", required=False)
@click.option("--run", default="", help="Only the rows of this run.")
@click.option("--to", "file", default="", help="Write them to this new file, which only you can read.")
@click.option("--list", "only_list", is_flag=True, help="Print only the paths of the reject files.")
@click.pass_context
def command(ctx: click.Context, *, connector: str, run: str, file: str, only_list: bool) -> None:
    """Print refused rows, to be corrected and sent again.

    These are the rows of CONNECTOR, or of all.

    The CSV has the columns of the source, after the columns irmexport_reason and irmexport_advice, which
    `send`, `check` and `watch` leave out. A cell that a spreadsheet would run as a formula is behind an
    apostrophe, which they take off. The rows are personal data.

    Example: irmexport export-rejects leaver-prediction --to refused.csv
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    outboxes = connectors_of(settings).choose(connector)
    if settings.address:
        from irmcli.session.shared import own_connectors

        names = {outbox.name for outbox in outboxes}
        outboxes = [outbox for outbox in own_connectors(settings) if outbox.name in names]
    found = [(outbox, path) for outbox in outboxes for path in reject_files(outbox)]
    found = [(outbox, path) for outbox, path in found if Path(path).stem.startswith(run)]
    paths = [path for _, path in found]
    output.document(paths)
    if not paths:
        unknown = f"a run {run} has no refused rows. Those of others: irmexport export-rejects --list"
        output.warn(unknown if run else "no rows were refused")
    elif only_list or (output.as_json and not file):
        for path in paths:
            output.line(path)
    else:
        # Of several files, the newest was opened last, so it says what the person's spreadsheet likes.
        delimiter = _delimiters(found[-1][0]).get(paths[-1], ",")
        data = corrections.file_of([Path(path).read_bytes() for path in paths], delimiter)
        if file:
            write_new(file, data)
        else:
            output.raw(data)


def _delimiters(outbox: Outbox) -> dict[str, str]:
    """The delimiters of the files whose rows are in these reject files."""
    return {str(event.get("rejects")): event.get("delimiter", ",") for event in audit_log.read(outbox)}
