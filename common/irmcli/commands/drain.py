"""`irmexport drain`: send what waits in the outbox."""

from __future__ import annotations

from pathlib import Path

import click
from irmcore.errors import IrmError

from irmcli import delivered
from irmcli.desks import desk_of
from irmcli.exits import NEEDS_PERSON, code_of, disk_trouble, worst
from irmcli.say import Say
from irmcli.settings import Settings


@click.command("drain")
@click.argument("connector", default="", required=False)
@click.option("--seconds", type=click.FloatRange(min=1), help="Begin no upload after this long.")
@click.pass_context
def command(ctx: click.Context, connector: str, seconds: float | None) -> None:
    """Send what waits, of all connectors or of CONNECTOR. For cron and systemd: it never asks."""
    say, settings = Say.of(ctx), Settings.of(ctx)
    desk = desk_of(settings)
    results: dict[str, object] = {}
    codes: list[int] = []
    for box in desk.choose(connector):
        name = Path(box.path).name
        until = box.clock.monotonic() + seconds if seconds else None
        say.line(desk.title(box), "bold")
        try:
            service = settings.service_of(box, warn=say.warn)
            report, code = delivered.drain(say, box, service, until=until)
        except (IrmError, OSError) as trouble:
            # One connector's trouble does not keep the others from sending.
            error = trouble if isinstance(trouble, IrmError) else disk_trouble(trouble)
            if not say.as_json:
                say.error(error)
            results[name] = {"error": str(error)}
            codes.append(code_of(error))
            continue
        if not report.sent and not report.waiting and not code:
            say.line("nothing to send")
        if delivered.waiting_for_a_person(say, box):
            code = NEEDS_PERSON
        results[name] = delivered.document(report)
        codes.append(code)
    say.document(results)
    ctx.exit(worst(codes))
