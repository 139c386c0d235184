"""`irmexport reconcile`: compare uploads with the connector's RecordsSaved and suggest a cause."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from irmcore.clock import iso
from irmcore.errors import BatchDamaged, DamageError, InputError, IrmError, OperatorError
from irmcore.operations import operations
from irmcore.operations.connectors import Connectors, title_of
from irmcore.outbox import Batch, Outbox, audit_log, states
from irmcore.outbox.batch_files import read_manifest, read_payload
from irmcore.profile import Profile

from irmcli.exit_codes import DONE, FAILED, NEEDS_PERSON
from irmcli.output import Output, count
from irmcli.reconcile.matching import Upload, describe_payload, likely_cause, match
from irmcli.reconcile.portal_log import Entry, Log, parse_log
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings
from irmcli.time_options import parse_timestamp

#: States of batches that the service may have received.
_UPLOADED = (states.SENT, states.HELD)


@click.command("reconcile")
@click.argument("log", required=False, metavar="[LOG]", type=click.Path(path_type=Path))
@click.option("--batch", help="Compare one upload, by the start of its id; needs --saved.")
@click.option(
    "--saved", type=click.IntRange(min=0), help="RecordsSaved of that upload, as the portal shows it."
)
@click.option("--connector", default="", help="Compare only this connector, the one whose log it is.")
@click.option(
    "--since",
    default="7d",
    show_default=True,
    help="Compare uploads since 2026-11-22T08:00Z, or 36h, 7d ago.",
)
@click.option(
    "--within",
    type=click.FloatRange(min=1),
    default=15.0,
    show_default=True,
    help="Maximum minutes between an upload and its log entry.",
)
@click.option("--profile", "profile_name", help="Profile of the rows, if it cannot be found by its name.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    log: Path | None,
    batch: str | None,
    saved: int | None,
    connector: str,
    since: str,
    within: float,
    profile_name: str | None,
) -> None:
    """Compare uploads with RecordsSaved: one --batch, or all in the portal's LOG ("Download log").

    Microsoft does not document the log's format, so entries that cannot be read or matched are listed. The
    audit log records each comparison. Exits with 4 if rows are missing, with 1 if an entry cannot be matched.

    Example: irmexport reconcile --batch 3f9a01c2
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    if (log is None) == (batch is None) or (batch is None) != (saved is None):
        raise click.UsageError("Give --batch ID with --saved N, or the portal's LOG file.", ctx)
    connectors = connectors_of(settings)
    found = Log([Entry(0, saved)]) if saved is not None else _read(log)
    if batch is not None:
        outbox, chosen = connectors.find_batch(batch)
        one = _upload(outbox, chosen, audit_log.histories(outbox))
        if one.state not in _UPLOADED:
            raise OperatorError(
                f"batch {one.batch[:12]} is {one.state or 'unreadable'}: it has no completed upload",
                next_step=f"See `irmexport show {one.batch[:12]}`.",
            )
        uploads = {one.batch: one}
    else:
        after = parse_timestamp(since)
        all_ = (one for outbox in connectors.choose(connector) for one in _uploads(outbox))
        uploads = {made.batch: made for made in all_ if made.at >= after}
    pairs, without_entry, unmatched = match(list(uploads.values()), found.entries, within=within * 60)
    rows = []
    for upload, entry in sorted(pairs, key=lambda pair: pair[0].at):
        cause = _likely_cause(connectors, settings, upload, entry.saved, profile_name)
        outbox, _ = connectors.find_batch(upload.batch)
        operations.record_reconciliation(outbox, upload.batch, entry.saved, who=settings.origin({}).user)
        rows.append((upload.batch[:12], iso(upload.at), upload.rows, entry.saved, cause))
    output.table("Sent and saved", ("batch", "sent at", "rows", "saved", "likely cause"), rows)
    _show_unmatched(output, found, without_entry, unmatched)
    output.document(
        {
            "uploads": [
                dict(zip(("batch", "at", "rows", "saved", "reason"), row, strict=True)) for row in rows
            ],
            "without_entry": [upload.batch for upload in without_entry],
            "unmatched_lines": [entry.line for entry in unmatched],
            "unread_lines": found.unread,
        }
    )
    if any(row[2] != row[3] for row in rows):
        ctx.exit(NEEDS_PERSON)
    ctx.exit(FAILED if without_entry or unmatched or found.unread or not rows else DONE)


def _show_unmatched(output: Output, found: Log, without_entry: list[Upload], unmatched: list[Entry]) -> None:
    for upload in without_entry:
        output.line(
            f"{upload.batch[:12]} of {iso(upload.at)} ({count(upload.rows, 'row')}): no matching log entry"
        )
    for entry in unmatched:
        when = f" of {iso(entry.at)}" if entry.at is not None else ""
        output.line(f"line {entry.line}: RecordsSaved {entry.saved}{when} matches no upload of this outbox")
    for line in found.unread:
        output.line(f"line {line}: it names RecordsSaved without a readable number")
    if not found.entries and not found.unread:
        output.line(
            "The file does not contain RecordsSaved. Get the connector's log: Data connectors > Download log."
        )


def _read(path: Path | None) -> Log:
    try:
        return parse_log(Path(path or "").read_bytes())
    except OSError as error:
        raise InputError(
            f"the log cannot be read ({error.strerror})",
            where=str(path),
            next_step="Check the path, and that this user may read it.",
        ) from None


def _uploads(outbox: Outbox) -> list[Upload]:
    """The batches that the service may have received."""
    events = audit_log.histories(outbox)
    return [
        _upload(outbox, one, events)
        for one in outbox.all_batches()
        if one.state is not None and one.state.name in _UPLOADED
    ]


def _upload(outbox: Outbox, batch: Batch, events: Mapping[str, list[dict[str, Any]]]) -> Upload:
    """The upload of a batch, at the time its last attempt ended, even if it was resolved later."""
    ends = [
        float(event["at"]) for event in events.get(batch.id, ()) if event.get("event") in ("sent", "hold")
    ]
    state = batch.state
    try:
        manifest = read_manifest(outbox, batch)
        rows, job = manifest.rows, manifest.destination.address.get("job_id", "")
    except DamageError:
        rows, job = 0, ""
    return Upload(
        batch=batch.id,
        connector=title_of(outbox),
        job=job,
        rows=rows,
        at=ends[-1] if ends else (state.at if state else 0.0),
        state=state.name if state else "",
        request_id=(state.request_id if state else "") or "-",
    )


def _likely_cause(
    connectors: Connectors, settings: Settings, upload: Upload, saved: int, profile_name: str | None
) -> str:
    outbox, batch = connectors.find_batch(upload.batch)
    profile: Profile | None = None
    found = None
    try:
        manifest = read_manifest(outbox, batch)
        profile = settings.profile(profile_name or manifest.profile["name"])
        found = describe_payload(read_payload(outbox, batch, manifest), profile)
    except BatchDamaged:
        found = None  # its rows were cleaned up; the text says so
    except IrmError:
        if profile_name is not None:
            raise  # the user named it; otherwise the text says that the profile is unknown
    return likely_cause(upload, saved, found, profile)
