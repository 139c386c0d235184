"""Accept the rows of a table into an outbox: all of them or none.

A run holds the connector's intake lock, so two runs never accept the same row. When ``accept`` returns, every
row is in a batch that survives a crash, or was merged, skipped, refused, excluded or out of scope, and the
counts say how many of each. When it raises, no row of the run was accepted, or its message says that some
may have been.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace

from irmcore import __version__
from irmcore.clock import iso
from irmcore.counts import Counts
from irmcore.errors import OutboxBusy, TooManyRefused
from irmcore.intake.accepted_there import AcceptedThere, rules_of
from irmcore.intake.batch_filler import FilledBatch
from irmcore.intake.commit import LOCK_TIMEOUT, commit, disk_error, wait_for_intake_lock
from irmcore.intake.ledger.index import Ledger
from irmcore.intake.ledger.recovery import open_ledger
from irmcore.intake.open_users import open_users
from irmcore.intake.pipeline import Pipeline, Progress
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Destination, Draft, Origin, Outbox, Run, Staging, audit_log, runs, states
from irmcore.outbox.retention import sweep
from irmcore.profile import Profile
from irmcore.shaping import reject_file
from irmcore.shaping.readers import Table
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.scenario_rows import refresh_period
from irmcore.shaping.users import Users

CONTENT_TYPE = "text/csv"
#: Refused rows that are written at a time.
_REJECTS = 500


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
    there: AcceptedThere | None = None,
) -> RunResult:
    """Shape ``table`` and accept its rows into ``outbox``, which is created if it does not exist.

    ``name`` is the input's, for messages; ``lock_timeout`` is in seconds. ``there``: the outbox on a store
    into which the run is to be promoted; rows that it has are skipped. Raises ConfigurationError if the
    people cannot be resolved as the profile asks, InputError, TooManyRefused
    if more than ``max_refused`` rows are refused, OutboxBusy, OutboxFull, and what ``Outbox.check`` raises.
    """
    run: _Run | None = None
    try:
        outbox.create()
        lock = wait_for_intake_lock(outbox, lock_timeout)
        run = _Run(
            profile, outbox, origin, destination, max_refused=max_refused, progress=progress, there=there
        )
        try:
            return run.run(table, name)
        finally:
            lock.release()
    except OSError as error:
        if run is not None and run.done is not None:
            return _with_warning(
                run.done, f"the disk reported an error after its rows were accepted ({error.strerror})"
            )
        raise disk_error(error, outbox.path, in_part=run is not None and run.accepting) from error


def _with_warning(done: RunResult, warning: str) -> RunResult:
    """The result of a run that was accepted, though something failed."""
    return replace(done, warning="; ".join(filter(None, (done.warning, warning))))


class _Run:
    """One run of ``accept``. ``accepting`` is True once an error may leave part of it accepted.

    ``done`` is its result as soon as all of it is accepted.
    """

    def __init__(
        self,
        profile: Profile,
        outbox: Outbox,
        origin: Origin,
        destination: Destination,
        *,
        max_refused: int | None,
        progress: Progress | None,
        there: AcceptedThere | None,
    ) -> None:
        self._there = there
        self._profile = profile
        self._outbox = outbox
        self._origin = origin
        self._destination = destination
        self._max_refused = max_refused
        self._progress = progress
        self.accepting = False
        self.done: RunResult | None = None
        self._rejects_check = ""
        self._started = outbox.clock.now()
        self._id = runs.new_run_id(self._started)
        period = refresh_period(profile, self._started)
        if period:  # or a batch with the same rows would be the one of the period before
            address = {**self._destination.address, "refresh": period}
            self._destination = replace(self._destination, address=address)

    def run(self, table: Table, name: str) -> RunResult:
        outbox = self._outbox
        sweep(outbox)
        ledger = open_ledger(outbox)
        ledger.elsewhere = self._there
        first = states.PROPOSED if self._profile.release == "approve" else states.READY
        with open_users(self._profile, outbox.clock.now()) as users, Staging(outbox, first=first) as staging:
            return self._accept(table, name, ledger, staging, users)

    def _accept(
        self, table: Table, name: str, ledger: Ledger, staging: Staging, users: Users | None
    ) -> RunResult:
        pipeline = Pipeline(self._profile, ledger, users=users, now=self._started)
        refused = _RejectFile(staging, self._id, table.source)
        sizes: list[int] = []
        filled: FilledBatch | None = None
        for filled in pipeline.batches(table, name, self._progress, refused.add):
            draft = Draft(filled.payload, CONTENT_TYPE, self._destination, filled.rows, filled.rowkeys)
            staging.add(draft)
            sizes.append(filled.rows)
        counts = pipeline.counts()
        path = refused.save()
        self._rejects_check = self._outbox.keyring.keyed(refused.digest()) if path else ""
        if self._max_refused is not None and counts.rejected > self._max_refused:
            raise TooManyRefused(
                f"{counts.rejected} of {counts.read} rows were refused, "
                f"more than the {self._max_refused} allowed; nothing was accepted",
                where=path,
                next_step="Correct the rows that the reject file lists, then run this again.",
            )
        reasons, changed = dict(pipeline.reasons), pipeline.changed
        del pipeline, filled  # frees the memory of the run's rows before the ledger needs its own
        ids, warning = self._commit(staging, counts, ledger)
        warning = "; ".join(filter(None, (users.warning if users is not None else "", warning)))
        done = RunResult(
            self._id, tuple(ids), tuple(sizes), counts, reasons, changed, path, warning, source=table.source
        )
        return self._recorded(done, table.delimiter)

    def _commit(self, staging: Staging, counts: Counts, ledger: Ledger) -> tuple[list[str], str]:
        names = staging.ids()
        if not names:
            return [], ""
        profile = {"name": self._profile.name, "sha256": self._profile.fingerprint}
        if self._profile.release == "approve":
            user = self._profile.column("user")
            profile |= {"preview": self._profile.preview, "user_column": user.header if user else ""}
        if self._there is not None:
            profile |= rules_of(self._profile)
        run = Run(self._id, self._started, self._origin, profile, counts)
        return names, commit(self._outbox, staging, ledger, run, accepting=self._now_accepting)

    def _now_accepting(self) -> None:
        self.accepting = True

    def _recorded(self, done: RunResult, delimiter: str) -> RunResult:
        """Record the run, also if nothing was new; returns ``done``, with a warning if that fails."""
        self.done = done
        record = {
            "event": "run",
            "run": self._id,
            "started": iso(self._started),
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
            "rejects_check": self._rejects_check,
            "delimiter": delimiter,
            "tool": f"irmexport {__version__}",
        }
        try:
            audit_log.append(self._outbox, record)
        except (OSError, OutboxBusy) as error:
            why = error.what if isinstance(error, OutboxBusy) else error.strerror
            return _with_warning(done, f"the run could not be recorded in the audit log ({why})")
        return done


class _RejectFile:
    """The run's reject file, created with the first refused row."""

    def __init__(self, staging: Staging, run: str, source: str) -> None:
        self._staging = staging
        self._run = run
        self._source = source
        self._rejects: list[Reject] = []
        self._header: tuple[str, ...] = ()
        self._sha256 = hashlib.sha256()
        self._any = False

    def add(self, reject: Reject, header: tuple[str, ...]) -> None:
        self._header = header
        self._rejects.append(reject)
        if len(self._rejects) >= _REJECTS:
            self._flush()

    def _flush(self) -> None:
        if self._rejects:
            data = b"" if self._any else reject_file.header_line()
            data += reject_file.lines(self._rejects, self._header, self._source)
            self._sha256.update(data)
            self._staging.append_file("rejects.csv", data)
            self._rejects, self._any = [], True

    def digest(self) -> str:
        """The SHA-256 of what was saved."""
        return self._sha256.hexdigest()

    def save(self) -> str | None:
        """Make the file durable; returns its path, or None if no row was refused."""
        self._flush()
        return self._staging.save_file("rejects.csv", f"rejects/{self._run}.csv") if self._any else None
