"""Rows → outbox: shape, skip what was accepted before, spread, batch, and accept all or nothing.

A run holds the connector's intake lock, so that two runs never accept the same row. What it
promises: when ``accept`` returns, every row is in a batch that survives a crash, or was merged,
skipped or refused, and the counts say so. When it raises, no row of the run was accepted.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Callable

from irmcore import __version__
from irmcore.clock import iso
from irmcore.counts import Counts
from irmcore.disk import Lock
from irmcore.errors import DamageError, IrmError, OutboxBusy, OutboxFull, TooManyRefused
from irmcore.intake.ledger.index import Ledger, in_parts
from irmcore.intake.pipeline import TICK, FilledBatch, Pipeline, Progress
from irmcore.outbox import Batch, Destination, Draft, Origin, Outbox, Run, Staging, runs, states
from irmcore.outbox.batch_files import find_with_rowkeys
from irmcore.outbox.retention import sweep
from irmcore.outbox.rowkeys import Damaged, unseal
from irmcore.profile import Profile
from irmcore.shaping import reject_file as rejects
from irmcore.shaping.readers import Table
from irmcore.shaping.reject_file import Reject

CONTENT_TYPE = "text/csv"

#: How long a run waits for another one of the same connector, in seconds.
LOCK_TIMEOUT = 300.0


@dataclass(frozen=True)
class RunResult:
    """What became of a run. ``reasons`` counts refusals by (column, reason code).

    ``batches`` are ids; ``rejects`` is the path of the reject file, if any row was refused. Of a dry
    run, ``run`` and ``batches`` are empty and ``sizes`` says what would have been sent.
    """

    run: str
    batches: tuple[str, ...]
    sizes: tuple[int, ...]
    counts: Counts
    reasons: Mapping[tuple[str, str], int]
    changed: int
    rejects: str | None
    warning: str = ""


def accept(
    table: Table,
    profile: Profile,
    outbox: Outbox,
    origin: Origin,
    *,
    destination: Destination,
    name: str = "input",
    max_refused: int | None = None,
    progress: Progress | None = None,
    lock_timeout: float = LOCK_TIMEOUT,
) -> RunResult:
    """Shape ``table`` and put it into ``box``, which is made if need be.

    Raises InputError, TooManyRefused, OutboxBusy, OutboxFull, UnknownFormat: each before anything
    was accepted.
    """
    try:
        outbox.create()
        lock = wait_for_intake_lock(outbox, lock_timeout)
        run = _Run(profile, outbox, origin, destination, max_refused=max_refused, progress=progress)
        try:
            return run.run(table, name)
        except OSError as error:
            raise disk_error(error, outbox.path, in_part=run.accepting) from error
        finally:
            lock.release()
    except OSError as error:
        raise disk_error(error, outbox.path, in_part=False) from error


def dry_run(
    table: Table,
    profile: Profile,
    outbox: Outbox | None,
    *,
    name: str = "input",
    on_reject: Callable[[Reject, tuple[str, ...]], None] | None = None,
    on_row: Callable[[tuple[str, ...]], None] | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Do all that ``accept`` does but write: a dry run. Without a ``box`` nothing counts as sent.

    Raises InputError, and DamageError where ``accept`` would repair the row ledger.
    ``on_row`` is given each row as it would go out, ``on_reject`` each refused one.
    """
    known = _looked_at(outbox) if outbox is not None and outbox.exists() else None
    pipeline = Pipeline(profile, known)
    try:
        sizes = [filled.rows for filled in pipeline.batches(table, name, progress, on_reject, on_row)]
    except Damaged:
        raise DamageError(
            "a file of the row ledger is damaged, so a dry run cannot tell what is new",
            where=f"{outbox.path}/ledger" if outbox is not None else None,
            next_step="Send rows: that makes the ledger anew from the batches.",
        ) from None
    return RunResult("", (), tuple(sizes), pipeline.counts(), dict(pipeline.reasons), pipeline.changed, None)


def wait_for_intake_lock(outbox: Outbox, lock_timeout: float = LOCK_TIMEOUT) -> Lock:
    """The intake lock, waited for. Raises OutboxBusy after ``lock_timeout`` seconds."""
    end = outbox.clock.monotonic() + lock_timeout
    while True:
        lock = outbox.intake_lock()
        if lock is not None:
            return lock
        if outbox.clock.monotonic() >= end:
            raise OutboxBusy(
                "another process is handing rows to this connector",
                where=outbox.path,
                next_step="Wait until it is done, then run this again; nothing was accepted.",
            )
        outbox.clock.sleep(0.05)


def disk_error(error: OSError, path: str, *, in_part: bool) -> IrmError:
    """An error of the file system as the operator's next step.

    ``in_part``: it came while batches were being accepted, so some may be; rows that are will be
    skipped by the next run.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what, step = "the disk (or its quota) is full", "Free some space and run this again."
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        what, step = (
            "the outbox cannot be written",
            "Give it to the user who runs this (mode 0700).",
        )
    else:
        name = errno.errorcode.get(error.errno or 0, "unknown")
        what, step = (
            f"the disk answered with an error ({name})",
            "Check the disk, then run this again.",
        )
    said = "this run may have been accepted in part" if in_part else "nothing of it was accepted"
    if in_part:
        step += " Rows that were accepted will be skipped."
    return OutboxFull(f"{what}; {said}", where=path, next_step=step)


class _Run:
    """One accepted run, step by step; each step says what is durable after it."""

    def __init__(
        self,
        profile: Profile,
        outbox: Outbox,
        origin: Origin,
        destination: Destination,
        *,
        max_refused: int | None,
        progress: Progress | None,
    ) -> None:
        self._profile = profile
        self._outbox = outbox
        self._origin = origin
        self._destination = destination
        self._max_refused = max_refused
        self._progress = progress
        self.accepting = False
        self._started = outbox.clock.now()
        self._id = runs.new_run_id(self._started)

    def run(self, table: Table, name: str) -> RunResult:
        outbox = self._outbox
        sweep(outbox)
        known = open_ledger(outbox)
        with Staging(outbox) as staging:
            return self._accept(table, name, known, staging)

    def _accept(self, table: Table, name: str, known: Ledger, staging: Staging) -> RunResult:
        pipeline = Pipeline(self._profile, known)
        refused = _RejectFile(staging, self._id)
        sizes: list[int] = []
        filled: FilledBatch | None = None
        for filled in pipeline.batches(table, name, self._progress, refused.add):
            draft = Draft(filled.payload, CONTENT_TYPE, self._destination, filled.rows, filled.rowkeys)
            staging.add(draft)
            sizes.append(filled.rows)
        counts = pipeline.counts()
        path = refused.keep()
        if self._max_refused is not None and counts.rejected > self._max_refused:
            raise TooManyRefused(
                f"{counts.rejected} of {counts.read} rows were refused, "
                f"more than the {self._max_refused} allowed; nothing was accepted",
                where=path,
                next_step="Correct the rows that the reject file lists, then run this again.",
            )
        reasons, changed = dict(pipeline.reasons), pipeline.changed
        del pipeline, filled  # what a run remembers of its rows goes before the ledger takes its own share
        ids, warning = self._commit(staging, counts, known)
        done = RunResult(self._id, tuple(ids), tuple(sizes), counts, reasons, changed, path, warning)
        return self._recorded(done)

    def _commit(self, staging: Staging, counts: Counts, known: Ledger) -> tuple[list[str], str]:
        names = staging.ids()
        if not names:
            return [], ""
        profile = {"name": self._profile.name, "sha256": self._profile.fingerprint}
        run = Run(self._id, self._started, self._origin, profile, counts)
        return names, commit(self._outbox, staging, known, run, accepting=self._now_accepting)

    def _now_accepting(self) -> None:
        self.accepting = True

    def _recorded(self, done: RunResult) -> RunResult:
        """``done``, after the run's own record was written: also of runs with nothing new to send."""
        record = {
            "run": self._id,
            "at": iso(self._started),
            "profile": self._profile.name,
            "profile_sha256": self._profile.fingerprint,
            "origin": asdict(self._origin),
            "counts": done.counts.as_dict(),
            "changed": done.changed,
            "reasons": [
                {"column": column, "reason": code, "rows": rows}
                for (column, code), rows in sorted(done.reasons.items())
            ],
            "batches": list(done.batches),
            "rejects": done.rejects,
            "tool": f"irmexport {__version__}",
        }
        try:
            runs.write_record(self._outbox, self._id, record)
        except OSError as error:
            return replace(done, warning=f"the run's record could not be written ({error.strerror})")
        return done


def commit(
    outbox: Outbox,
    staging: Staging,
    known: Ledger,
    run: Run,
    *,
    accepting: Callable[[], None] = lambda: None,
) -> str:
    """Accept all batches of ``staging``, then enter their rows into the ledger; gives a warning, or "".

    ``accepting`` is told when an error can no longer mean that nothing was accepted. The caller holds
    the intake lock. Raises OSError.
    """
    names = staging.ids()
    staging.prepare(run)
    known.announce(run.id, names)
    accepting()
    staging.accept()  # from here on the run is accepted, whatever happens
    try:
        known.merge(_accepted(outbox, name) for name in names)
        known.discard(run.id)
    except OSError as error:
        # The announcement stands, so the next run merges these batches before it looks.
        return f"the row ledger will be completed by the next run ({error.strerror})"
    except Damaged:
        return "the row ledger is damaged and will be made anew by the next run"
    return ""


class _RejectFile:
    """The run's reject file, made with the first refused row."""

    def __init__(self, staging: Staging, run: str) -> None:
        self._staging = staging
        self._run = run
        self._lines: list[bytes] = []
        self._any = False

    def add(self, reject: Reject, header: tuple[str, ...]) -> None:
        if not self._any:
            self._lines.append(rejects.header_line())
            self._any = True
        self._lines.append(rejects.line(reject, header))
        if len(self._lines) >= TICK:
            self._flush()

    def _flush(self) -> None:
        if self._lines:
            self._staging.append_file("rejects.csv", b"".join(self._lines))
            self._lines = []

    def keep(self) -> str | None:
        """Make the file durable and give its path, if there is one."""
        self._flush()
        return self._staging.save_file("rejects.csv", f"rejects/{self._run}.csv") if self._any else None


def open_ledger(outbox: Outbox) -> Ledger:
    """The connector's ledger, with the runs that did not end merged. The caller holds the intake lock."""
    known = _ledger(outbox)
    if not known.complete():
        return rebuild(outbox)
    announced = known.announcements()
    if announced:
        outbox.sync_ready()  # before the ledger says that their rows are accepted
    try:
        for run, names in announced.items():
            for records in in_parts(_accepted(outbox, name) for name in names):
                known.merge_missing(records)
            for name in names:
                known.remove(_withdrawn(outbox, name))
            known.discard(run)
    except Damaged:
        return rebuild(outbox)
    return known


def _looked_at(outbox: Outbox) -> Ledger | None:
    """The ledger, for who only looks; None where nothing was ever accepted."""
    known = Ledger(outbox.disk, f"{outbox.path}/ledger")
    return known if known.complete() or any(outbox.ids()) else None


def _ledger(outbox: Outbox) -> Ledger:
    return Ledger(outbox.disk, f"{outbox.path}/ledger", repair=lambda: rebuild(outbox))


def rebuild(outbox: Outbox) -> Ledger:
    """The ledger made anew from the batches. The caller holds the intake lock."""
    known = _ledger(outbox)
    known.create()
    outbox.sync_ready()
    known.rebuild(lambda: (_standing(outbox, name) for name in outbox.ids()))
    for run in known.announcements():
        known.discard(run)
    return known


def _accepted(outbox: Outbox, name: str) -> bytes:
    """The row keys of a batch that an announced run has accepted; none if it did not, or was withdrawn.

    Of a batch that was split since, its own: nobody can withdraw a half before this run is merged.
    """
    batch, records = _rowkeys(outbox, name)
    return b"" if _is(batch, states.WITHDRAWN) else records


def _withdrawn(outbox: Outbox, name: str) -> bytes:
    """The row keys of a withdrawn batch, else none."""
    batch, records = _rowkeys(outbox, name)
    return records if _is(batch, states.WITHDRAWN) else b""


def _standing(outbox: Outbox, name: str) -> bytes:
    """The row keys that a batch adds to an index made anew; of a split one, its halves have them."""
    batch, records = _rowkeys(outbox, name)
    replaced = batch is not None and batch.folder == "done" and _is(batch, states.SPLIT)
    return b"" if replaced or _is(batch, states.WITHDRAWN) else records


def _is(batch: Batch | None, state: str) -> bool:
    return batch is not None and batch.state is not None and batch.state.name == state


def _rowkeys(outbox: Outbox, name: str) -> tuple[Batch | None, bytes]:
    """A batch and the records of its rows; none of them if they are damaged, or it does not exist."""
    found = find_with_rowkeys(outbox, name)
    if found is None:
        return None, b""
    try:
        return found[0], unseal(found[1])
    except Damaged:
        return found[0], b""
