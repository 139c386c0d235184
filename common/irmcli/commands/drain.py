"""`irmexport drain`: send what is queued in the outbox."""

import click
from irmcore.delivery.report import Report
from irmcore.errors import IrmError
from irmcore.operations.connectors import title_of

from irmcli.exit_codes import DONE, FAILED, NEEDS_PERSON, code_of, worst
from irmcli.output import Output, count
from irmcli.session.connectors import connectors_of
from irmcli.session.delivery_output import drain, show_needing_attention
from irmcli.session.retention import clean_up_after
from irmcli.settings import Settings


@click.command("drain")
@click.argument("connector", default="", required=False)
@click.option(
    "--seconds", type=click.FloatRange(min=1), help="Start no further upload after this many seconds."
)
@click.pass_context
def command(ctx: click.Context, connector: str, seconds: float | None) -> None:
    """Send what is queued for CONNECTOR, or for all connectors. Never prompts: for cron and systemd.

    It also sends what other processes add meanwhile, for ten minutes; then it sends what it has and ends. If
    another sender is at work, that one sends everything, and the exit code is 0.

    Example: irmexport drain --json
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    results: dict[str, object] = {}
    codes: list[int] = []
    if settings.address:
        codes += _promote_rest(output, settings)
    chosen = list(connectors_of(settings).choose(connector))
    end: float | None = None
    for number, outbox in enumerate(chosen):
        output.line(title_of(outbox), "bold")
        try:
            service = settings.service_of(outbox, warn=output.warn)
            now = outbox.clock.monotonic()
            end = now + seconds if seconds and end is None else end
            if end is not None and now >= end:
                output.line("no time is left; what is queued stays for the next drain")
                report = Report(queued=outbox.count_ready())
                code = FAILED if report.queued else DONE
            else:
                # An equal share of what is left, so that no connector takes the time of all others.
                until = None if end is None else now + (end - now) / (len(chosen) - number)
                report, code = drain(output, outbox, service, until=until)
        except (IrmError, OSError) as raised:
            # An error of one connector does not stop the others.
            error = output.partial_error(raised)
            results[outbox.name] = {"error": str(error)}
            codes.append(code_of(error))
            continue
        if not report.sent and not report.queued and not report.another_sender and not code:
            output.line("nothing to send")
        if show_needing_attention(output, outbox):
            code = NEEDS_PERSON
        results[outbox.name] = report.as_dict()
        codes.append(code)
    output.document(results)
    ctx.exit(worst(codes))


def _promote_rest(output: Output, settings: Settings) -> list[int]:
    """Move to the address what earlier commands on this machine could not; returns exit codes."""
    from irmcore.operations.shared import Promotion

    from irmcli.session.shared import address_of, own_connectors

    address, codes = address_of(settings), []
    for own in own_connectors(settings):
        try:
            found = Promotion(address, own).rest()
        except (IrmError, OSError) as raised:
            error = output.partial_error(raised)
            codes.append(code_of(error))
            continue
        clean_up_after(output, own)
        for run in found:
            more = f", {run.known:,} skipped (sent or accepted elsewhere)" if run.known else ""
            output.line(f"{own.name}: run {run.run} is accepted: {count(sum(run.sizes), 'row')}{more}")
    return codes
