"""`irmexport report`: deliveries, refusals, delays and held batches as one HTML page."""

import datetime
from pathlib import Path

import click
from irmcore import __version__
from irmcore.clock import SystemClock, iso
from irmcore.operations.audit import audit
from irmcore.operations.status import connector_status

from irmcli import html_page
from irmcli.output import Output, count
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings
from irmcli.time_options import parse_timestamp

_MAX_DAYS = 400


@click.command("report")
@click.argument("connector", default="", required=False)
@click.option("--since", default="30d", show_default=True, help="Start: 7d ago, or 2026-11-01T00:00Z.")
@click.option(
    "-o",
    "--output",
    "output_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("irmexport-report.html"),
    show_default=True,
    help="File to write; an existing one is replaced.",
)
@click.pass_context
def command(ctx: click.Context, *, connector: str, since: str, output_path: Path) -> None:
    """Write an HTML report by connector and day.

    It is one file without personal data, safe to share.

    Example: irmexport report --output report.html
    """
    from irmcli.reporting import figures, page

    output, settings = Output.of(ctx), Settings.of(ctx)
    connectors, now = connectors_of(settings), SystemClock().now()
    after = parse_timestamp(since)
    if not 0 <= now - after <= _MAX_DAYS * 86_400:
        raise click.BadParameter(f"a report covers at most the last {_MAX_DAYS} days")
    statuses = [connector_status(outbox) for outbox in connectors.choose(connector)]
    lines = figures.figures(audit(connectors.outboxes(), after), statuses)
    first, last = (datetime.datetime.fromtimestamp(at, datetime.UTC).date() for at in (after, now))
    days = figures.days(first, last)
    text = page.page(lines, days, f"Created by irmexport {__version__} at {iso(now)}.")
    html_page.write(output_path, text)
    for line in lines:
        parts = [
            count(line.rows, "row") + " sent",
            f"{line.counts['rejected']:,} refused",
            f"{line.held} held",
        ]
        output.line(f"{line.now.title}: {', '.join(parts)}")
    output.line(f"Wrote {output_path}")
    output.document(
        {
            "page": str(output_path),
            "connectors": [
                {
                    "name": line.now.name,
                    "runs": line.runs,
                    "counts": dict(line.counts),
                    "rows_sent": line.rows,
                    "uploads": line.uploads,
                    "held": line.held,
                    "dead": line.dead,
                    "seconds_median": figures.quantile(line.seconds, 0.5),
                    "seconds_95": figures.quantile(line.seconds, 0.95),
                    "reasons": [
                        {"reason": reason, "column": column, "rows": rows}
                        for (reason, column), rows in line.reasons.most_common()
                    ],
                }
                for line in lines
            ],
        }
    )
