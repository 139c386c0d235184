"""`irmexport sentinel settings`, `health`, `collector-emulator`: around the collector."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click
from irmcli import options as shared
from irmcli.exit_codes import FAILED, NEEDS_PERSON
from irmcli.extras import sentinel_extra
from irmcli.output import Output
from irmcli.settings import Settings
from irmcore.errors import ConfigurationError

from irmsentinel.cli import options
from irmsentinel.cli.collector_output import show_queue
from irmsentinel.cli.collector_session import open_service


@click.command("settings")
def settings_() -> None:
    """Print a template of the collector's settings file.

    Example: irmexport sentinel settings > collector.yaml
    """
    with sentinel_extra():
        from irmsentinel.collector.settings import TEMPLATE
    click.echo(TEMPLATE, nl=False)


@click.command("health")
@options.collector_settings
@options.collector_emulator
@click.pass_context
def health(ctx: click.Context, *, file: str, emulator: Path | None) -> None:
    """Write a heartbeat of every connector to the workspace.

    These are the connectors on this machine; the table is IRMExportHealth_CL.

    Example: irmexport sentinel health --settings collector.yaml
    """
    output, service = Output.of(ctx), open_service(Settings.of(ctx), file, emulator)
    if service.settings.health is None:
        raise ConfigurationError(
            "`health_rule_id` is not set",
            where=file,
            next_step="Set it to the data collection rule of IRMExportHealth_CL.",
        )
    overview = service.report()
    if overview is not None and (overview.queued or overview.needs_person):
        show_queue(output, overview)
        ctx.exit(NEEDS_PERSON if overview.needs_person else FAILED)
    output.line("Wrote heartbeats of this machine's connectors to IRMExportHealth_CL.")


@click.command("collector-emulator")
@shared.local_emulator(
    "irmexport-collector", "Directory for its address, its CA, a settings file and the tables it fills.", 0
)
@click.option("--alerts", default=20, show_default=True, help="Synthetic alerts in the last three days.")
@click.pass_context
def emulator_(ctx: click.Context, *, directory: Path, alerts: int, port: int, lifetime: float) -> None:
    """Run a local emulator of the services of `collect`.

    These are the Management API, Microsoft Graph and Logs Ingestion, on this machine only.

    Example: irmexport sentinel collector-emulator --directory emulator
    """
    with sentinel_extra():
        from irmsentinel.emulators.collector_session import running_emulator
    output = Output.of(ctx)
    with running_emulator(directory, alerts=alerts, port=port, lifetime=lifetime) as running:
        output.line(f"An emulator of the collector's services, not Microsoft's: {running.url}")
        output.line(
            f"  irmexport sentinel subscribe start -s {directory}/collector.yaml --emulator {directory}"
        )
        output.line(f"It stops after {lifetime:,.0f} s, or when you press Ctrl-C.")
        with contextlib.suppress(KeyboardInterrupt):
            running.wait()
