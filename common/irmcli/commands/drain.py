"""`irmexport drain`: send what waits in the outbox."""

from __future__ import annotations

from pathlib import Path

import click
from irmcore.errors import IrmError
from irmcore.operations.connectors import title_of

from irmcli.exit_codes import NEEDS_PERSON, code_of, disk_trouble, worst
from irmcli.output import Output
from irmcli.session import delivery_output as delivered
from irmcli.session.operations import connectors_of
from irmcli.settings import Settings


@click.command("drain")
@click.argument("connector", default="", required=False)
@click.option("--seconds", type=click.FloatRange(min=1), help="Begin no upload after this long.")
@click.pass_context
def command(ctx: click.Context, connector: str, seconds: float | None) -> None:
    """Send what waits, of all connectors or of CONNECTOR. For cron and systemd: it never asks."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    connectors = connectors_of(settings)
    results: dict[str, object] = {}
    codes: list[int] = []
    for outbox in connectors.choose(connector):
        name = Path(outbox.path).name
        until = outbox.clock.monotonic() + seconds if seconds else None
        output.line(title_of(outbox), "bold")
        try:
            service = settings.service_of(outbox, warn=output.warn)
            report, code = delivered.drain(output, outbox, service, until=until)
        except (IrmError, OSError) as trouble:
            # One connector's trouble does not keep the others from sending.
            error = trouble if isinstance(trouble, IrmError) else disk_trouble(trouble)
            if not output.as_json:
                output.error(error)
            results[name] = {"error": str(error)}
            codes.append(code_of(error))
            continue
        if not report.sent and not report.queued and not code:
            output.line("nothing to send")
        if delivered.waiting_for_a_person(output, outbox):
            code = NEEDS_PERSON
        results[name] = delivered.document(report)
        codes.append(code)
    output.document(results)
    ctx.exit(worst(codes))
