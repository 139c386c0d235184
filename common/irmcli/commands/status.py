"""`irmexport status`: what is queued, paused or needs attention, why, and what to do."""

from contextlib import suppress
from dataclasses import asdict

import click
from irmcore.clock import iso
from irmcore.delivery import circuit_breaker
from irmcore.delivery.connection import Connection, outbox_name
from irmcore.errors import IrmError
from irmcore.operations.retention import CHECK_CLOCK
from irmcore.operations.status import BatchStatus, ConnectorStatus, too_old
from irmcore.outbox import audit_log
from irmcore.profile.model import PLACEHOLDER
from irmcore.profile.published_limits import Finding, of_age, of_profiles

from irmcli.exit_codes import DONE, NEEDS_PERSON
from irmcli.output import Output, count
from irmcli.session.connectors import connectors_of, outboxes_of, status_of
from irmcli.session.delivery_output import next_step_of_proposed, text_of_differences
from irmcli.session.limits_output import limits_document, of_today, show_limits
from irmcli.settings import Settings
from irmcli.time_options import parse_timestamp

#: Bytes of queued batches whose files are verified.
_VERIFIED = 64 * 1024 * 1024


@click.command("status")
@click.argument("connector", default="", required=False)
@click.option(
    "--max-age",
    metavar="26h",
    help="Also exit with 4 if the last run was longer ago than this (90m, 26h, 2d), or a batch is queued "
    "for longer.",
)
@click.pass_context
def command(ctx: click.Context, connector: str, max_age: str | None) -> None:
    """Show the status of CONNECTOR, or of all. Exits with 4 if something needs attention.

    Example: irmexport status --max-age 26h
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    oldest = parse_timestamp(max_age) if max_age is not None else 0.0
    found: list[dict[str, object]] = []
    for outbox in connectors_of(settings).choose(connector):
        try:
            status = status_of(settings, outbox, verify_bytes=_VERIFIED)
        except (IrmError, OSError) as raised:
            # An error of one connector does not hide the others.
            error = output.partial_error(raised)
            found.append({"name": outbox.name, "error": str(error), "needs_person": True})
            continue
        _show(output, status)
        old = too_old(status, oldest)
        if old:
            output.line(f"  {old}, longer than {max_age} ago: check the schedule and its log", "red")
        found.append({**asdict(status), "too_old": old, "needs_person": status.needs_person or bool(old)})
    if not found:
        output.line(f"Nothing has been sent from {settings.address or settings.outbox} yet.")
    if settings.address:
        _show_own(output, settings)
    if not connector:
        limits = limits_document(_show_limits(output, settings))
        # They are the tenant's, and the document is a list of connectors.
        found = [{**status, "limits": limits} for status in found]
    output.document(found)
    ctx.exit(NEEDS_PERSON if any(status["needs_person"] for status in found) else DONE)


def _show_limits(output: Output, settings: Settings) -> list[Finding]:
    """What the user's own profiles and today's rows come near to or pass, all connectors together."""
    try:
        profiles = [one for one in settings.own_profiles() if one.connector.job_id != PLACEHOLDER]
    except IrmError as error:
        output.warn(f"published limits were not compared: {error}")
        return []
    outboxes = {outbox.name: outbox for outbox in outboxes_of(settings)}
    at = [(one, outboxes.get(outbox_name(Connection(one.name, one.connector)))) for one in profiles]
    known = [(profile, outbox) for profile, outbox in at if outbox is not None]
    found = [*of_profiles(profiles), *of_today(known)]
    for profile, outbox in known:
        with suppress(OSError):  # as in `of_today`, what cannot be read counts as none
            found += of_age(profile, audit_log.newest(outbox, ("run",))["run"], outbox.clock.now())
    show_limits(output, found, profiles)
    return found


def _show_own(output: Output, settings: Settings) -> None:
    """Show what this machine has accepted and not moved to the address yet."""
    from irmcli.session.shared import own_connectors

    for own in own_connectors(settings):
        if number := own.count_ready():
            output.line(
                f"{own.name}: {count(number, 'batch')} of this machine, not at the address yet", "yellow"
            )
            output.line("  `irmexport drain` moves them there")


def _show(output: Output, status: ConnectorStatus) -> None:
    output.line(status.title, "bold")
    for text in filter(None, (status.trouble, *status.damage)):
        output.line(f"  {text}", "red")
    if not status.trouble:
        _show_breaker(output, status)
    # Of a format that cannot be read, only the number is known.
    of_rows = f", {count(status.rows_queued, 'row')}" if status.oldest or not status.queued else ""
    oldest = f", oldest since {iso(status.oldest)}" if status.oldest else ""
    output.line(f"  queued: {count(status.queued, 'batch')}{of_rows}{oldest}")
    output.line(f"  last run {_moment(status.last_run)}, last receipt {_moment(status.last_receipt)}")
    if status.proposed:
        what = f"{count(status.proposed, 'batch')}, {count(status.rows_proposed, 'row')}"
        output.line(f"  proposed: {what}, oldest since {iso(status.proposed_since)}", "yellow")
        output.line(f"  {next_step_of_proposed(status.name)}")
    if status.differences:
        what, step = text_of_differences(status.differences)
        output.line(f"  difference: {what}", "red")
        output.line(f"  {step}")
    if status.retry_at:
        output.line(f"  next retry {iso(status.retry_at)}")
    rows = [
        (item.id[:12], item.state, item.rows, iso(item.since), _expiry(item), item.reason)
        for item in status.items
    ]
    output.table("  Needs attention", ("batch", "state", "rows", "since", "deleted on", "reason"), rows)
    for reason, step in _steps(status.items):
        output.line(f"  {reason}: {step}")
    kept = ", ".join(f"{name} {days:g}" for name, days in status.retention_days.items())
    ran = iso(status.retention_ran) if status.retention_ran else "never"
    output.line(f"  days kept: {kept}; last deletion {ran}", "dim")
    if status.retention_doubt:
        output.warn(f"{status.retention_doubt}. {CHECK_CLOCK}")


def _moment(seconds: float) -> str:
    return iso(seconds) if seconds else "not on record"


def _expiry(item: BatchStatus) -> str:
    return iso(item.expires)[:10] if item.expires else ""


def _show_breaker(output: Output, status: ConnectorStatus) -> None:
    if status.mode == circuit_breaker.CLOSED:
        output.line("  ready to send (circuit breaker closed)", "green")
        return
    word = "PAUSED" if status.mode == circuit_breaker.PAUSED else "CIRCUIT BREAKER OPEN"
    output.line(f"  {word} since {iso(status.since)}: {status.reason}", "yellow")
    if status.next_probe:
        output.line(f"  next probe {iso(status.next_probe)}")
    output.line(f"  {status.next_step}")


def _steps(items: tuple[BatchStatus, ...]) -> list[tuple[str, str]]:
    """Each reason once, with the next step of its first batch."""
    found: dict[str, list[BatchStatus]] = {}
    for item in items:
        found.setdefault(item.reason, []).append(item)
    return [
        (
            reason,
            f"{first.next_step} Do the same for {count(len(others), 'more batch')}."
            if others
            else first.next_step,
        )
        for reason, (first, *others) in found.items()
        if first.next_step
    ]
