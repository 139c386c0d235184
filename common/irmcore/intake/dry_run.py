"""What ``accept`` would do with a table, without writing anything."""

from __future__ import annotations

from typing import Callable

from irmcore.clock import SystemClock
from irmcore.errors import DamageError
from irmcore.intake.accepted_there import AcceptedThere
from irmcore.intake.ledger.recovery import read_ledger
from irmcore.intake.open_users import open_users
from irmcore.intake.pipeline import Pipeline, Progress
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Outbox
from irmcore.outbox.rowkeys import Damaged
from irmcore.profile import Profile
from irmcore.shaping.readers import Table
from irmcore.shaping.reject_file import Reject


def dry_run(
    table: Table,
    profile: Profile,
    outbox: Outbox | None,
    *,
    name: str = "input",
    on_reject: Callable[[Reject, tuple[str, ...]], None] | None = None,
    on_row: Callable[[tuple[str, ...]], None] | None = None,
    progress: Progress | None = None,
    there: AcceptedThere | None = None,
) -> RunResult:
    """The result that ``accept`` would have. Without an ``outbox`` no row counts as accepted before.

    ``on_row`` gets each row as it would go out, ``on_reject`` each refused row and the header.
    Raises InputError, ConfigurationError if the people cannot be resolved as the profile asks, and
    DamageError where ``accept`` would repair the row ledger or refuses the outbox.
    """
    ledger = None
    if outbox is not None and outbox.exists():
        outbox.check_format()
        ledger = read_ledger(outbox)
        if ledger is not None:
            ledger.elsewhere = there
    clock = outbox.clock if outbox is not None else SystemClock()
    now = clock.now()
    with open_users(profile, now) as users:
        pipeline = Pipeline(profile, ledger, users=users, now=now)
        try:
            sizes = [filled.rows for filled in pipeline.batches(table, name, progress, on_reject, on_row)]
        except Damaged:
            raise DamageError(
                "the row ledger is damaged, so a dry run cannot tell which rows are new",
                where=f"{outbox.path}/ledger" if outbox is not None else None,
                next_step="Send rows without --dry-run: that rebuilds the ledger from the batches.",
            ) from None
        warning = users.warning if users is not None else ""
    reasons = dict(pipeline.reasons)
    counts, changed = pipeline.counts(), pipeline.changed
    return RunResult("", (), tuple(sizes), counts, reasons, changed, None, warning, source=table.source)
