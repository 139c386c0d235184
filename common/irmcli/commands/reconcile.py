"""`irmexport reconcile`: what was sent against the connector's RecordsSaved, with the likely reason."""

from __future__ import annotations

from pathlib import Path

import click
from irmcore.clock import iso
from irmcore.errors import BatchDamaged, DamageError, InputError, IrmError, OperatorError
from irmcore.operations import operations
from irmcore.operations.connectors import Connectors, title_of
from irmcore.outbox import Batch, Outbox, states
from irmcore.outbox.batch_files import read_history, read_manifest, read_payload
from irmcore.profile import Profile

from irmcli.exit_codes import DONE, FAILED, NEEDS_PERSON
from irmcli.output import Output, count
from irmcli.reconcile import matching as reconciling
from irmcli.reconcile import portal_log
from irmcli.reconcile.matching import Sent
from irmcli.reconcile.portal_log import Entry
from irmcli.session.operations import connectors_of
from irmcli.settings import Settings
from irmcli.timestamps import parse_timestamp

#: What the service may have: with a receipt, or in doubt.
_ENDED = (states.SENT, states.HELD)


@click.command("reconcile")
@click.argument("log", required=False, metavar="[LOG]", type=click.Path(path_type=Path))
@click.option("--batch", help="One upload, by the beginning of its id; with --saved.")
@click.option(
    "--saved", type=click.IntRange(min=0), help="RecordsSaved of that upload, as the portal shows it."
)
@click.option("--connector", default="", help="Only of this connector: the log is one connector's.")
@click.option(
    "--since", default="7d", show_default=True, help="Uploads since then; 2026-11-22T08:00Z, or 36h, 7d."
)
@click.option(
    "--within",
    type=click.FloatRange(min=1),
    default=15.0,
    show_default=True,
    help="Minutes that an upload and its entry of the log may lie apart.",
)
@click.option(
    "--profile", "profile_name", help="The profile the rows came by, if it is not known by its name."
)
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
    """Compare uploads with RecordsSaved: of one --batch, or of the portal's LOG ("Download log").

    The log's form is documented nowhere: what cannot be read or matched is said. Each comparison stands in
    the audit. Exits with 4 where rows are missing, with 1 where something could not be matched.
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    if (log is None) == (batch is None) or (batch is None) != (saved is None):
        raise click.UsageError("Give --batch ID with --saved N, or the portal's LOG file.", ctx)
    connectors = connectors_of(settings)
    found = portal_log.Log([Entry(0, saved)]) if saved is not None else _read(log)
    if batch is not None:
        one = _sent(connectors, *connectors.find_batch(batch))
        if one.state not in _ENDED:
            raise OperatorError(
                f"batch {one.batch[:12]} is {one.state or 'unreadable'}: no upload of it has ended",
                next_step="See `irmexport status`.",
            )
        uploads = {one.batch: one}
    else:
        after = parse_timestamp(since)
        all_ = (
            _sent(connectors, outbox, one)
            for outbox in connectors.choose(connector)
            for one in _ended(outbox)
        )
        uploads = {made.batch: made for made in all_ if made.at >= after}
    pairs, lonely, unmatched = reconciling.match(list(uploads.values()), found.entries, within=within * 60)
    rows = []
    for upload, entry in sorted(pairs, key=lambda pair: pair[0].at):
        why = _reason(connectors, settings, upload, entry.saved, profile_name)
        outbox, _ = connectors.find_batch(upload.batch)
        operations.record_reconciliation(outbox, upload.batch, entry.saved, who=settings.origin({}).user)
        rows.append((upload.batch[:12], iso(upload.at), upload.rows, entry.saved, why))
    output.table("Sent against saved", ("batch", "sent at", "rows", "saved", "likely reason"), rows)
    _leftovers(output, found, lonely, unmatched)
    output.document(
        {
            "uploads": [
                dict(zip(("batch", "at", "rows", "saved", "reason"), row, strict=True)) for row in rows
            ],
            "without_entry": [upload.batch for upload in lonely],
            "unmatched_lines": [entry.line for entry in unmatched],
            "unread_lines": found.unread,
        }
    )
    if any(row[2] != row[3] for row in rows):
        ctx.exit(NEEDS_PERSON)
    ctx.exit(FAILED if lonely or unmatched or found.unread or not rows else DONE)


def _leftovers(output: Output, found: portal_log.Log, lonely: list[Sent], unmatched: list[Entry]) -> None:
    for upload in lonely:
        output.line(
            f"{upload.batch[:12]} of {iso(upload.at)} ({count(upload.rows, 'row')}): no entry of the log fits"
        )
    for entry in unmatched:
        when = f" of {iso(entry.at)}" if entry.at is not None else ""
        output.line(f"line {entry.line}: RecordsSaved {entry.saved}{when} fits no upload of this outbox")
    for line in found.unread:
        output.line(f"line {line}: it names RecordsSaved, and no number can be read there")
    if not found.entries and not found.unread:
        output.line(
            "The file names RecordsSaved nowhere. Is it the connector's log (Data connectors > Download log)?"
        )


def _read(path: Path | None) -> portal_log.Log:
    try:
        return portal_log.read(Path(path or "").read_bytes())
    except OSError as error:
        raise InputError(
            f"the log cannot be read ({error.strerror})",
            where=str(path),
            next_step="Check the path and that this user may read it.",
        ) from None


def _ended(outbox: Outbox) -> list[Batch]:
    """The batches that the service may have."""
    return [one for one in outbox.all_batches() if one.state is not None and one.state.name in _ENDED]


def _sent(connectors: Connectors, outbox: Outbox, batch: Batch) -> Sent:
    """The upload of a batch: when its last attempt ended, be it that a person ended the doubt later."""
    ends = [
        float(event["at"]) for event in read_history(outbox, batch) if event.get("event") in ("sent", "hold")
    ]
    state = batch.state
    try:
        manifest = read_manifest(outbox, batch)
        rows, job = manifest.rows, manifest.destination.address.get("job_id", "")
    except DamageError:
        rows, job = 0, ""
    return Sent(
        batch=batch.id,
        connector=title_of(outbox),
        job=job,
        rows=rows,
        at=ends[-1] if ends else (state.at if state else 0.0),
        state=state.name if state else "",
        request_id=(state.request_id if state else "") or "-",
    )


def _reason(
    connectors: Connectors, settings: Settings, upload: Sent, saved: int, profile_name: str | None
) -> str:
    outbox, batch = connectors.find_batch(upload.batch)
    profile: Profile | None = None
    found = None
    try:
        manifest = read_manifest(outbox, batch)
        profile = settings.profile(profile_name or manifest.profile["name"])
        found = reconciling.facts(read_payload(outbox, batch, manifest), profile)
    except BatchDamaged:
        found = None  # its rows are cleaned up: the reason says so
    except IrmError:
        if profile_name is not None:
            raise  # asked for by name; else the reason says that it is not known
    return reconciling.reason(upload, saved, found, profile)
