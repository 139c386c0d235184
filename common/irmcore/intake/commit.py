"""Accept staged batches and enter their rows into the row ledger; the lock and the errors of that.

``docs/delivery.md`` has the order of writes and what a crash between two of them leaves.
"""

from __future__ import annotations

import errno
from typing import Callable

from irmcore.disk import Lock
from irmcore.errors import IrmError, OutboxBusy, OutboxFull
from irmcore.intake.ledger.index import Ledger
from irmcore.intake.ledger.recovery import accepted_records
from irmcore.outbox import Outbox, Run, Staging
from irmcore.outbox.rowkeys import Damaged

#: Seconds that a run waits for another run of the same connector.
LOCK_TIMEOUT = 300.0


def wait_for_intake_lock(outbox: Outbox, timeout: float = LOCK_TIMEOUT) -> Lock:
    """The intake lock. Raises OutboxBusy after ``timeout`` seconds, and what ``Outbox.check`` raises."""
    end = outbox.clock.monotonic() + timeout
    while True:
        lock = outbox.intake_lock()
        if lock is not None:
            return outbox.checked(lock)
        if outbox.clock.monotonic() >= end:
            raise OutboxBusy(
                "another process is adding rows to this connector",
                where=outbox.path,
                next_step="Nothing was accepted. Run this again when the other process has finished.",
            )
        outbox.clock.sleep(0.05)


def commit(
    outbox: Outbox,
    staging: Staging,
    ledger: Ledger,
    run: Run,
    *,
    accepting: Callable[[], None] = lambda: None,
) -> str:
    """Accept all batches of ``staging``, then enter their rows into the ledger; returns a warning, or "".

    ``accepting`` is called at the point after which an error may leave part of the run accepted. The caller
    holds the intake lock. Raises OSError.
    """
    names = staging.ids()
    staging.prepare(run)
    ledger.announcements.announce(run.id, names)
    accepting()
    staging.accept()  # from here on the run is accepted, whatever happens to the ledger
    try:
        ledger.merge(accepted_records(outbox, name) for name in names)
        ledger.announcements.discard(run.id)
    except OSError as error:
        # The announcement stays, so the next run merges these batches before it reads the ledger.
        return f"the row ledger could not be updated ({error.strerror}); the next run will complete it"
    except Damaged:
        return "the row ledger is damaged; the next run will rebuild it"
    return ""


def disk_error(error: OSError, path: str, *, in_part: bool) -> IrmError:
    """A file system error of a run as an error with a next step.

    ``in_part``: batches were being accepted, so the run may be accepted in part. The next run skips the rows
    that were.
    """
    what, step = explain_disk_error(error, path)
    result = "this run may have been accepted in part" if in_part else "nothing of it was accepted"
    if in_part:
        step += " Rows that were accepted will be skipped."
    return OutboxFull(f"{what}; {result}", where=path, next_step=step)


def explain_disk_error(error: OSError, path: str) -> tuple[str, str]:
    """What a file system error in the outbox at ``path`` means, and the next step."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk or its quota is full", "Free some space and run this again."
    if error.errno == errno.EROFS:
        step = "Mount it read-write, then run this again. `dmesg` shows whether an error of the disk made it "
        return "the file system of the outbox is mounted read-only", step + "read-only."
    if error.errno in (errno.EACCES, errno.EPERM):
        step = f"Run `chown -R USER {path}` for the user who runs this, then run this again."
        return "the outbox is not writable", step
    name = errno.errorcode.get(error.errno or 0, "unknown")
    return f"the disk reported an error ({name})", "Check the disk, then run this again."
