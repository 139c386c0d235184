"""`irmexport sentinel subscribe`: the tenant's subscription to Audit.General, which delivers IRM alerts."""

from __future__ import annotations

from pathlib import Path

import click
from irmcli.extras import sentinel_extra
from irmcli.output import Output
from irmcli.settings import Settings

from irmsentinel.cli import options
from irmsentinel.cli.collector_session import api_errors, open_feed, open_service, utc_text


@click.group("subscribe")
def subscribe() -> None:
    """Manage the tenant's subscription to Audit.General.

    It delivers IRM alerts.
    """


@subscribe.command("start")
@options.collector_settings
@options.collector_emulator
@click.pass_context
def start(ctx: click.Context, *, file: str, emulator: Path | None) -> None:
    """Start the subscription. Does nothing if it is enabled.

    Example: irmexport sentinel subscribe start --settings collector.yaml
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    with api_errors():
        new = open_feed(settings, file, emulator).start()
    output.line("Subscribed to Audit.General." if new else "The subscription is already enabled.")
    if new:
        output.line("The first content can take 12 hours. Wait 15 minutes before you start it again.")
    output.document({"started": new})


@subscribe.command("stop")
@options.collector_settings
@options.collector_emulator
@click.pass_context
def stop(ctx: click.Context, *, file: str, emulator: Path | None) -> None:
    """Stop the subscription. Events until the next start are never delivered.

    Example: irmexport sentinel subscribe stop --settings collector.yaml
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    with api_errors():
        stopped = open_feed(settings, file, emulator).stop()
    output.line("Stopped the subscription to Audit.General." if stopped else "There was no subscription.")
    output.document({"stopped": stopped})


@subscribe.command("list")
@options.collector_settings
@options.collector_emulator
@click.pass_context
def list_(ctx: click.Context, *, file: str, emulator: Path | None) -> None:
    """List the tenant's subscriptions.

    Example: irmexport sentinel subscribe list --settings collector.yaml
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    with api_errors():
        found = open_feed(settings, file, emulator).subscriptions()
    output.table("Subscriptions", ("content type", "status"), [(s.content_type, s.status) for s in found])
    if not found:
        output.line("There are no subscriptions.")
    output.document([{"content_type": s.content_type, "status": s.status} for s in found])


@subscribe.command("status")
@options.collector_settings
@options.collector_emulator
@click.pass_context
def status(ctx: click.Context, *, file: str, emulator: Path | None) -> None:
    """Check the subscription, and show how far it was read. Exits with 1 if it does not work.

    Example: irmexport sentinel subscribe status --settings collector.yaml
    """
    with sentinel_extra():
        from irmsentinel.collector import cursor
    output, service = Output.of(ctx), open_service(Settings.of(ctx), file, emulator, "audit")
    with api_errors():
        now = service.feed.check()
        first = next(iter(service.feed.content(int(now) - 86_399, int(now))), None)
    at = cursor.load(service.outbox) if service.outbox.exists() else cursor.Cursor()
    output.line("The subscription to Audit.General is enabled.")
    if first is None:
        output.line(
            "No content in the last 24 hours. The first can take 12 hours after a start; alerts come hourly."
        )
    if at.collected:
        done = cursor.acknowledged(service.outbox, at)
        output.line(
            f"Collected until {utc_text(at.collected)}; acknowledged by the workspace until {utc_text(done)}."
        )
    else:
        output.line("Nothing collected yet: irmexport sentinel collect")
    for gap in at.gaps:
        output.line(f"  gap {utc_text(gap.start)} to {utc_text(gap.end)}: {gap.why}", "yellow")
    output.document(
        {"enabled": True, "content": first is not None, "collected": at.collected, "gone": at.gone}
    )
