"""`irmexport metrics`: numbers about each connector for a monitoring system."""

from __future__ import annotations

import os
from pathlib import Path

import click
from irmcore.errors import ConfigurationError, IrmError
from irmcore.operations.status import ConnectorStatus

from irmcli.exit_codes import DONE, code_of, worst
from irmcli.metrics import exposition, samples
from irmcli.output import Output
from irmcli.session.connectors import connectors_of, status_of
from irmcli.settings import Settings


@click.command("metrics")
@click.argument("connector", default="", required=False)
@click.option(
    "--textfile",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write them to this file, whose name ends in .prom, for node_exporter's textfile collector.",
)
@click.option(
    "--otlp",
    is_flag=True,
    help="Send them by OTLP over HTTP to OTEL_EXPORTER_OTLP_ENDPOINT (needs irmexport[otel]).",
)
@click.pass_context
def command(ctx: click.Context, connector: str, textfile: Path | None, otlp: bool) -> None:
    """Print metrics of CONNECTOR, or of all, for Prometheus.

    docs/monitoring.md lists them.

    Example: irmexport metrics --textfile /var/lib/node_exporter/irmexport.prom
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    if textfile is not None and textfile.suffix != ".prom":
        raise click.BadParameter("node_exporter reads only files whose names end in .prom")
    statuses: list[ConnectorStatus] = []
    codes: list[int] = [DONE]
    for outbox in connectors_of(settings).choose(connector):
        try:
            statuses.append(status_of(settings, outbox))
        except (IrmError, OSError) as raised:
            # An error of one connector does not hide the others, whose numbers are there.
            error = output.partial_error(raised)
            codes.append(code_of(error))
    found = list(samples(statuses))
    if textfile is not None:
        _replace(textfile, exposition(found))
        output.line(f"Wrote {textfile}")
    if otlp:
        from irmcli.otlp import export

        export(found, settings.environment)
        output.line(f"Sent {len(found)} numbers")
    if textfile is None and not otlp:
        for line in exposition(found).splitlines():
            output.line(line)
    output.document([{"name": one.metric.name, **one.labels, "value": one.value} for one in found])
    ctx.exit(worst(codes))


def _replace(file: Path, text: str) -> None:
    """Write the file so that a reader finds the old one or the new one. Raises ConfigurationError."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the metrics cannot be written ({error.strerror})",
            where=str(file),
            next_step="Choose another file with --textfile, or let this user write to its directory.",
        ) from None
