"""`irmexport check FILE`: what would be shaped and what refused. Nothing is written, nothing is sent."""

from __future__ import annotations

from collections import Counter

import click
from irmcore.intake.dry_run import dry_run
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.text import hazards

from irmcli import options
from irmcli.exit_codes import DONE, ROWS_REFUSED
from irmcli.output import Output
from irmcli.session import input_file as source
from irmcli.session import shaping_output as shaped
from irmcli.settings import Settings

_HAZARDS = {
    "bidi-control": "characters that turn the reading direction",
    "zero-width": "characters of no width",
    "formula-prefix": "a first character that a spreadsheet takes for a formula",
}


@click.command("check")
@options.file
@options.profile
@options.form
@click.option("--show", default=10, show_default=True, help="Refused rows to list, by line.")
@click.pass_context
def command(ctx: click.Context, file: str, profile_name: str, form: str, show: int) -> None:
    """Check FILE (CSV or JSON lines, gzip too, - for standard input) against a profile."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    profile = settings.profile(profile_name)
    refused: list[Reject] = []
    found: Counter[str] = Counter()

    def on_reject(reject: Reject, _: tuple[str, ...]) -> None:
        if len(refused) < show:
            refused.append(reject)

    def on_row(fields: tuple[str, ...]) -> None:
        for field in fields:
            found.update(hazards(field))

    with source.table(file, profile, form) as table, output.progress("checking") as progress:
        done = dry_run(table, profile, None, name=file, on_reject=on_reject, on_row=on_row, progress=progress)
    shaped.show(output, done, dry=True)
    lines = [(r.line, r.column or "(row)", r.code) for r in refused]
    output.table(f"The first {len(lines)} refused rows", ("line", "column", "reason"), lines)
    for name, count in sorted(found.items()):
        output.line(f"Note: {count:,} values have {_HAZARDS[name]}; they are sent as they are.")
    output.document({**shaped.document(done), "hazards": dict(found)})
    ctx.exit(ROWS_REFUSED if done.counts.rejected else DONE)
