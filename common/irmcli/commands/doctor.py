"""`irmexport doctor`: find out why an upload would fail, without an upload."""

from __future__ import annotations

from dataclasses import asdict

import click
from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.operations import connection_checks

from irmcli import options
from irmcli.emulator.connection import connection_to
from irmcli.exit_codes import DONE, FAILED
from irmcli.output import Output
from irmcli.settings import Settings

_STYLE = {connection_checks.GOOD: "green", connection_checks.NOTE: "yellow", connection_checks.BAD: "red"}


@click.command("doctor")
@options.profile
@options.emulator
@click.pass_context
def command(ctx: click.Context, *, profile_name: str, emulator_dir: str | None) -> None:
    """Check DNS, TCP, TLS, proxy, clock, token, disk and outbox of a profile. Uploads nothing."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    profile = settings.profile(profile_name)
    connection = connection_to(profile, emulator_dir)
    found = list(connection_checks.check_outbox(system_disk(), str(settings.outbox.absolute())))
    tokens = settings.service(connection, warn=output.warn).tokens
    found.extend(connection_checks.check_connection(connection, tokens, SystemClock()))
    for finding in found:
        output.line(f"{finding.grade:4}  {finding.check}: {finding.found}", _STYLE[finding.grade])
        if finding.next_step:
            output.line(f"      {finding.next_step}")
    output.document([asdict(finding) for finding in found])
    ctx.exit(FAILED if any(finding.grade == connection_checks.BAD for finding in found) else DONE)
