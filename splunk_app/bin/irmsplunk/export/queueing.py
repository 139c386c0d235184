"""A table's rows into a connector's outbox, or only counted; with the refused rows, if they are wanted."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from irmcore.clock import Clock
from irmcore.delivery.connection import Connection, destination, outbox_name, save
from irmcore.disk import system_disk
from irmcore.intake.accept import accept
from irmcore.intake.dry_run import dry_run
from irmcore.intake.run_result import RunResult
from irmcore.operations.rewriting import migrate_if_old
from irmcore.outbox import Origin, Outbox
from irmcore.profile import Profile
from irmcore.shaping import reject_file
from irmcore.shaping.readers import Table
from irmcore.shaping.reject_file import Reject

#: How the results of a search are called in messages.
RESULTS = "search results"
#: Seconds to wait for another search that queues rows for the same connector.
_LOCK_WAIT = 60.0


def connector_outbox(root: str, connection: Connection, clock: Clock) -> Outbox:
    """The connector's outbox under ``root``; it need not exist yet."""
    return Outbox(system_disk(), clock, f"{root}/{outbox_name(connection)}")


def queue_rows(
    table: Table,
    profile: Profile,
    outbox: Outbox,
    connection: Connection,
    origin: Origin,
    *,
    max_refused: int | None = None,
    keep_rejects: bool = False,
) -> tuple[RunResult, bytes]:
    """Shape and accept all rows or none; returns the bytes of the reject file too, if they are wanted.

    Raises what ``irmcore.intake.accept`` raises.
    """
    migrate_if_old(outbox)
    outbox.create()
    save(outbox, connection)
    accepted = accept(
        table,
        profile,
        outbox,
        origin,
        destination=destination(connection),
        name=RESULTS,
        max_refused=max_refused,
        lock_timeout=_LOCK_WAIT,
    )
    if not keep_rejects:
        return accepted, b""
    rejects = b""
    if accepted.rejects:
        try:
            rejects = outbox.disk.read(accepted.rejects)
        except OSError as error:
            warning = f"the refused rows could not be read back ({error.strerror})"
            accepted = replace(accepted, warning=warning)
    return accepted, rejects or reject_file.header_line()


def dry_run_rows(
    table: Table, profile: Profile, outbox: Outbox, *, keep_rejects: bool, keep_rows: int = 0
) -> tuple[RunResult, bytes, bytes]:
    """What ``queue_rows`` would do, without writing anything. Raises InputError, DamageError.

    The last bytes are the first ``keep_rows`` rows as they would go out.
    """
    rejects: list[Reject] = []
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.header for column in profile.columns])
    left = iter(range(keep_rows))

    def keep(reject: Reject, header: tuple[str, ...]) -> None:
        rejects.append(reject)

    def show(fields: tuple[str, ...]) -> None:
        if next(left, None) is not None:
            writer.writerow(fields)

    accepted = dry_run(
        table,
        profile,
        outbox if outbox.exists() else None,
        name=RESULTS,
        on_reject=keep if keep_rejects else None,
        on_row=show if keep_rows else None,
    )
    lines = reject_file.header_line() + reject_file.lines(rejects, table.header, table.source)
    return accepted, lines if keep_rejects else b"", text.getvalue().encode("utf-8")


def read_reject_file(outbox: Outbox, path: str | None) -> bytes:
    """The reject file of a run that was refused as a whole; empty if there is none."""
    return outbox.disk.read(path) if path and path.startswith(outbox.path) else b""
