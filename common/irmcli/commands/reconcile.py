"""`irmexport reconcile`: compare uploads with the connector's RecordsSaved and suggest a cause."""

import sys
from pathlib import Path
from typing import Any

import click
from irmcore.clock import SystemClock, iso
from irmcore.errors import ConfigurationError, InputError, OperatorError
from irmcore.operations import reconciliation
from irmcore.outbox import audit_log

from irmcli.exit_codes import DONE, FAILED, NEEDS_PERSON
from irmcli.output import Output, count
from irmcli.reconcile.matching import Upload, match
from irmcli.reconcile.portal_log import NOT_A_LOG, Entry, Log, parse_log
from irmcli.reconcile.uploads import UPLOADED, cause_of, refused_by, upload_of, uploads_of
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings
from irmcli.time_options import parse_timestamp


@click.command("reconcile")
@click.argument("log", required=False, metavar="[LOG]", type=click.Path(path_type=Path))
@click.option("--batch", help="Compare one upload, by the start of its id; needs --saved.")
@click.option(
    "--saved", type=click.IntRange(min=0), help="RecordsSaved of that upload, as the portal shows it."
)
@click.option(
    "--why", default="", help="With --batch: explain the difference, which then no longer needs attention."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Read every log that somebody has put into this directory, each once. It can be scheduled.",
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
@click.option(
    "--settle",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="With --folder: seconds without a change until a log counts as complete.",
)
@click.option("--profile", "profile_name", help="Profile of the rows, if it cannot be found by its name.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    log: Path | None,
    batch: str | None,
    saved: int | None,
    why: str,
    folder: Path | None,
    connector: str,
    since: str,
    within: float,
    settle: float,
    profile_name: str | None,
) -> None:
    """Compare uploads with the RecordsSaved of the portal.

    Compares one --batch, or all in the portal's LOG ("Download log").

    Microsoft does not document the log's format, so entries that cannot be read or matched are listed. The
    audit log records each comparison. Exits with 4 if rows are missing, with 1 if an entry cannot be matched.

    With --folder, logs move to DIR/archive after the comparison, those that need a person to DIR/errors. A
    log of one of several connectors belongs in DIR/CONNECTOR. No batch changes its state.

    Example: irmexport reconcile --batch 3f9a01c2 --saved 120
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    given = [one for one in (log, batch, folder) if one is not None]
    if len(given) != 1 or (batch is None) != (saved is None):
        raise click.UsageError("Give --batch ID with --saved N, the portal's LOG file, or --folder DIR.", ctx)
    if why and batch is None:
        raise click.UsageError("--why explains the difference of one --batch.", ctx)
    if folder is not None:
        _read_folder(ctx, folder, connector, parse_timestamp(since), within * 60, settle, profile_name)
    connectors = connectors_of(settings)
    found = Log([Entry(0, saved)]) if saved is not None else _read(log)
    if batch is not None:
        refused: list[Upload] = []
        outbox, chosen = connectors.find_batch(batch)
        one = upload_of(outbox, chosen, audit_log.histories(outbox))
        if one.state not in UPLOADED:
            raise OperatorError(
                f"batch {one.batch[:12]} is {one.state or 'unreadable'}: it has no completed upload",
                next_step=f"See `irmexport show {one.batch[:12]}`.",
            )
        uploads = {one.batch: one}
    else:
        after, of_connectors = parse_timestamp(since), connectors.choose(connector)
        refused = [one for outbox in of_connectors for one in refused_by(outbox)]
        all_ = (one for outbox in of_connectors for one in uploads_of(outbox))
        uploads = {made.batch: made for made in all_ if made.at >= after}
    pairs, without_entry, unmatched = match(
        list(uploads.values()), found.entries, within=within * 60, refused=refused
    )
    rows = []
    for upload, entry in sorted(pairs, key=lambda pair: pair[0].at):
        cause = cause_of(connectors, settings, upload, entry.saved, profile_name)
        outbox, _ = connectors.find_batch(upload.batch)
        reconciliation.record(
            outbox, upload.batch, entry.saved, rows=upload.rows, who=settings.origin({}).user, why=why
        )
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
    if not why and any(row[2] != row[3] for row in rows):
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
        output.line(". ".join(NOT_A_LOG))


def _read(path: Path | None) -> Log:
    try:
        return parse_log(Path(path or "").read_bytes())
    except OSError as error:
        raise InputError(
            f"the log cannot be read ({error.strerror})",
            where=str(path),
            next_step="Check the path, and that this user may read it.",
        ) from None


def _read_folder(  # noqa: PLR0917 - the options of the command, in their order
    ctx: click.Context,
    path: Path,
    connector: str,
    since: float,
    within: float,
    settle: float,
    profile_name: str | None,
) -> None:
    """Compare every log in a directory, and exit."""
    from irmcli.reconcile.log_folder import LogFolder
    from irmcli.watching.local_folder import LocalFolder

    output, settings, clock = Output.of(ctx), Settings.of(ctx), SystemClock()
    if sys.platform == "win32":
        raise ConfigurationError(
            "`reconcile --folder` does not run on Windows, where a directory cannot be opened",
            next_step="Compare one log: irmexport reconcile LOG",
        )
    connectors = connectors_of(settings)
    connectors.choose(connector)  # a wrong name is an error also while the folder is empty
    state = Path(settings.outbox_ready()) / "watched" / "folders"
    local = LocalFolder(path.absolute(), state, clock, settle=settle)
    events: list[dict[str, Any]] = []
    shared = (output, settings, local, clock, events.append)
    which: dict[str, Any] = {"connector": connector, "since": since, "within": within}
    logs = LogFolder(*shared, poll=True, connectors=connectors, profile_name=profile_name, **which)
    logs.run(once_for=settle * 2 + 1)
    if not events:
        output.line(f"There is no new log in {local.title}")
    output.document({"logs": events})
    ctx.exit(logs.code)
