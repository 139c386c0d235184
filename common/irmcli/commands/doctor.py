"""`irmexport doctor`: find out why an upload would fail, without an upload, and what needs a person."""

from collections.abc import Iterator
from dataclasses import asdict

import click
from irmcore.clock import SystemClock, iso
from irmcore.delivery import circuit_breaker
from irmcore.delivery import connection as connections
from irmcore.disk import system_disk
from irmcore.operations import connection_checks
from irmcore.operations.connection_checks import BAD, GOOD, NOTE, Finding
from irmcore.operations.status import ConnectorStatus
from irmcore.outbox import Outbox

from irmcli import options
from irmcli.emulator.connection import connection_to
from irmcli.exit_codes import DONE, FAILED, NEEDS_PERSON
from irmcli.output import Output, count
from irmcli.session.connectors import connectors_of, status_of
from irmcli.session.delivery_output import next_step_of_proposed, text_of_differences
from irmcli.settings import Settings

_STYLE = {GOOD: "green", NOTE: "yellow", BAD: "red"}


@click.command("doctor")
@click.argument("connector", default="", required=False)
@click.option("-p", "--profile", "profile_name", help="Check this profile, even if it has sent nothing yet.")
@options.emulator
@click.pass_context
def command(
    ctx: click.Context, *, connector: str, profile_name: str | None, emulator_dir: str | None
) -> None:
    """Check network, clock, token, disk and outbox.

    Checks DNS, TCP, TLS and proxy, too, for CONNECTOR, for all, or for a profile.

    Uploads nothing. Also lists what needs a person, and then exits with 4.

    Example: irmexport doctor --profile leaver-prediction
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    found = list(connection_checks.check_outbox(system_disk(), str(settings.outbox.absolute())))
    outboxes: list[Outbox] = []
    if profile_name is not None:
        connection = connection_to(settings.profile(profile_name), emulator_dir)
        found += _check(output, settings, connection)
        name = connections.outbox_name(connection)
        outboxes = [outbox for outbox in connectors_of(settings).outboxes() if outbox.name == name]
    else:
        outboxes = connectors_of(settings).choose(connector)
        for outbox in outboxes:
            if connections.kind_of(outbox) == connections.KIND:
                found += _check(output, settings, connections.load(outbox))
    needed = [finding for outbox in outboxes for finding in _attention(status_of(settings, outbox))]
    found += needed
    for finding in found:
        output.line(f"{finding.grade:4}  {finding.check}: {finding.found}", _STYLE[finding.grade])
        if finding.next_step:
            output.line(f"      {finding.next_step}")
    output.document([asdict(finding) for finding in found])
    if any(finding.grade == BAD for finding in needed):
        ctx.exit(NEEDS_PERSON)
    ctx.exit(FAILED if any(finding.grade == BAD for finding in found) else DONE)


def _check(output: Output, settings: Settings, connection: connections.Connection) -> Iterator[Finding]:
    tokens = settings.service(connection, warn=output.warn).tokens
    return connection_checks.check_connection(connection, tokens, SystemClock())


def _attention(status: ConnectorStatus) -> Iterator[Finding]:
    """What of a connector needs a person."""
    for text in filter(None, (status.trouble, *status.damage)):
        yield Finding(status.title, BAD, text)
    if status.mode != circuit_breaker.CLOSED:
        word = "paused" if status.mode == circuit_breaker.PAUSED else "circuit breaker open"
        what = f"{word} since {iso(status.since)}: {status.reason}"
        yield Finding(status.title, BAD, what, status.next_step)
    for item in status.items:
        what = f"{item.state} since {iso(item.since)} ({count(item.rows, 'row')}): {item.reason}"
        yield Finding(f"batch {item.id[:12]}", BAD, what, item.next_step)
    if status.differences:
        yield Finding(status.title, BAD, *text_of_differences(status.differences))
    if status.proposed:
        what = f"{count(status.proposed, 'batch')} proposed since {iso(status.proposed_since)}"
        yield Finding(status.title, NOTE, what, next_step_of_proposed(status.name))
