"""`irmexport check FILE`: check rows against a profile. Sends nothing; writes only with --refused."""

from collections import Counter

import click
from irmcore.clock import SystemClock
from irmcore.intake.dry_run import dry_run
from irmcore.profile.published_limits import of_profiles
from irmcore.shaping import corrections, reject_file
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.row_counts import RowCounts
from irmcore.shaping.text import hazards

from irmcli import options
from irmcli.exit_codes import code_of_rows
from irmcli.output import Output
from irmcli.session.hazards import show_hazards
from irmcli.session.input_file import about_rows, open_table
from irmcli.session.limits_output import limits_document, show_limits
from irmcli.session.private_file import OWN_FILE, write_new
from irmcli.session.shaping_output import shaping_document, show_input, show_shaping
from irmcli.settings import Settings


@click.command("check")
@options.file
@options.profile
@options.form
@click.option(
    "--refused", "into", default="", help="Write the refused rows to this new file, to be corrected and sent."
)
@click.option("--show", default=10, show_default=True, help="Number of refused rows to list.")
@click.pass_context
def command(ctx: click.Context, *, file: str, profile_name: str, form: str, into: str, show: int) -> None:
    """Check the rows of FILE against a profile.

    FILE is CSV, JSON or an Excel workbook, optionally compressed with gzip; - is standard input.

    Example: irmexport check detections.csv --profile leaver-prediction
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    profile = settings.profile(profile_name)
    refused: list[Reject] = []
    in_file: list[Reject] = []
    found: Counter[str] = Counter()
    counts = RowCounts(profile, SystemClock().now())

    def on_reject(reject: Reject, header: tuple[str, ...]) -> None:
        if len(refused) < show:
            refused.append(reject)
        if into:
            in_file.append(reject)

    def on_row(fields: tuple[str, ...]) -> None:
        counts.add(fields)
        for field in fields:
            found.update(hazards(field))

    with open_table(file, profile, form) as table, output.progress("checking", about_rows(file)) as progress:
        done = dry_run(table, profile, None, name=file, on_reject=on_reject, on_row=on_row, progress=progress)
    show_input(output, table)
    show_shaping(output, done, dry=True)
    lines = [(r.line, r.column or "(row)", r.code) for r in refused]
    output.table("Refused rows by line", ("line", "column", "reason"), lines)
    if into and done.counts.rejected:
        found_in = reject_file.header_line() + reject_file.lines(in_file, table.header, "file")
        write_new(into, corrections.file_of([found_in], table.delimiter))
        output.line(f"The refused rows, to be corrected and sent: {into}")
        output.line(OWN_FILE)
    show_hazards(output, found)
    limits = [*of_profiles([profile]), *counts.findings()]
    show_limits(output, limits, [profile])
    if counts.old:
        output.line(f"Look-back: {counts.old_text()}")
    document = {"hazards": dict(found), "limits": limits_document(limits), "before_look_back": counts.old}
    output.document({**shaping_document(done), **document})
    ctx.exit(code_of_rows(done.counts.rejected))
