"""Accept rows of records into the outbox, each record once, and durably."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from irmcore.counts import Counts
from irmcore.intake.commit import commit, wait_for_intake_lock
from irmcore.intake.ledger.recovery import open_ledger
from irmcore.outbox import Draft, Origin, Run, Staging
from irmcore.outbox.retention import sweep
from irmcore.outbox.rowkeys import KEY_BYTES, RowKey, pack

from irmsentinel.azure import payloads
from irmsentinel.azure.target import Target
from irmsentinel.collector.records import Row
from irmsentinel.collector.spool import Spool


@dataclass(frozen=True)
class Accepted:
    """``new`` rows, of which ``cut`` have a shortened field; rows ``repeated``; and batches created."""

    new: int
    repeated: int
    cut: int
    batches: int
    warning: str


@dataclass(frozen=True)
class Acceptance:
    """Accepts rows into one spool; ``fingerprint`` is the digest of the collector's settings."""

    spool: Spool
    target: Target
    fingerprint: str

    def accept(self, rows: Sequence[Row], *, run: str, origin: Origin) -> Accepted:
        """Put the rows that the row ledger does not know into batches. All become durable, or none.

        ``run`` is the run's ID. Raises OutboxBusy, OutboxFull, OSError, and what promoting them raises.
        """
        accepted = self._accept(rows, run, origin)
        self.spool.promote()
        return accepted

    def _accept(self, rows: Sequence[Row], run: str, origin: Origin) -> Accepted:
        outbox = self.spool.own
        lock = wait_for_intake_lock(outbox)
        try:
            sweep(outbox)
            ledger = open_ledger(outbox)
            ledger.elsewhere = self.spool.there()
            fresh: dict[bytes, Row] = {}
            for row in rows:
                if row.key not in fresh and not ledger.day(row.day).has(_row_key(row)):
                    fresh[row.key] = row
            new, repeated = list(fresh.values()), len(rows) - len(fresh)
            batches, warning = 0, ""
            if new:
                counts = Counts(len(rows), len(new), 0, repeated, 0)
                profile = {"name": self.target.name, "sha256": self.fingerprint}
                with Staging(outbox) as staging:
                    self._stage(staging, new)
                    batches = len(staging.ids())
                    made = Run(run, outbox.clock.now(), origin, profile, counts)
                    warning = commit(outbox, staging, ledger, made)
            return Accepted(len(new), repeated, sum(bool(row.cut) for row in new), batches, warning)
        finally:
            lock.release()

    def _stage(self, staging: Staging, rows: list[Row]) -> None:
        at = 0
        for payload, count in payloads.arrays(row.line for row in rows):
            keys = _RowKeys(rows[at : at + count])
            staging.add(Draft(payload, payloads.CONTENT_TYPE, self.target.destination, count, keys))
            at += count


class _RowKeys:
    """The ``rowkeys`` file of a batch, made once the batch has its id."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __call__(self, batch: bytes) -> bytes:
        return pack(
            RowKey(int.from_bytes(row.key[8:], "big"), _row_key(row), row.day, batch[:8])
            for row in self._rows
        )


def _row_key(row: Row) -> bytes:
    """A record's row key. It has no threshold part."""
    return row.key.ljust(KEY_BYTES, b"\0")
