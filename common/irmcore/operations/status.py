"""The status of a connector: whether it may send, what is queued, and which batches need a person.

Reading it takes no lock and changes nothing, so it may be a moment behind a running sender.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from irmcore.advice import advice
from irmcore.clock import iso
from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker
from irmcore.delivery.circuit_breaker import CircuitBreaker
from irmcore.delivery.connection import kind_of
from irmcore.errors import DamageError
from irmcore.operations import retention, verification
from irmcore.operations.connectors import title_of
from irmcore.operations.reconciliation import Difference
from irmcore.operations.verification import format_trouble, use_trouble
from irmcore.outbox import Batch, Outbox, audit_log, states
from irmcore.outbox.batch_files import read_manifest
from irmcore.outbox.retention import DAY, is_undecided


@dataclass(frozen=True)
class BatchStatus:
    """A batch that needs a person: its state, since when, why, and what to do next.

    ``expires``: when its rows are deleted if nobody decides (seconds since 1970; 0 if unknown).
    """

    id: str
    state: str
    rows: int
    since: float
    attempts: int
    not_before: float
    reason: str
    next_step: str
    expires: float = 0.0


@dataclass(frozen=True)
class ConnectorStatus:
    """The status of one connector. Times in seconds since 1970, 0 for none.

    ``mode`` is the circuit breaker's. ``queued`` and ``rows_queued`` count what will be sent without
    anybody's help, ``proposed`` and ``rows_proposed`` what awaits its release since ``proposed_since``;
    ``last_run`` is when rows were last read, also if all of them were known;
    ``items`` are the batches that need a person. ``trouble`` says why nothing is sent, or can be read, and
    ``damage`` which files are damaged. ``differences`` are those to the portal's log, which only the
    command line looks for.
    """

    name: str
    title: str
    path: str
    mode: str
    reason: str
    since: float
    next_probe: float
    next_step: str
    queued: int
    rows_queued: int
    oldest: float
    retry_at: float
    items: tuple[BatchStatus, ...]
    trouble: str = ""
    proposed: int = 0
    rows_proposed: int = 0
    proposed_since: float = 0.0
    damage: tuple[str, ...] = ()
    retention_days: Mapping[str, float] = field(default_factory=dict)
    retention_ran: float = 0.0
    retention_doubt: str = ""
    last_run: float = 0.0
    last_receipt: float = 0.0
    differences: tuple[Difference, ...] = ()

    @property
    def needs_person(self) -> bool:
        stopped = self.mode != circuit_breaker.CLOSED
        return stopped or any((self.items, self.trouble, self.damage, self.differences))


def connector_status(outbox: Outbox, *, verify_bytes: int = 0) -> ConnectorStatus:
    """What ``irmexport status`` shows of one connector.

    ``verify_bytes``: how much of the queue's files to read and verify (see ``verification``).
    """
    trouble = format_trouble(outbox)  # which reads what is on a store
    breaker, _ = load_breaker(outbox)
    now = outbox.clock.now()
    periods = retention.periods_of(outbox)
    queued, rows, oldest, retries = 0, 0, 0.0, []
    proposed: list[tuple[float, int]] = []
    items: list[BatchStatus] = []
    if trouble:
        queued = outbox.count_ready()  # as far as anything is known
    for batch in [*outbox.ready(), *outbox.quarantined()] if not trouble else []:
        state = batch.state
        if batch.folder == "quarantine" or state is None or state.name in states.NEEDS_PERSON:
            items.append(_batch_status(outbox, batch, periods.undecided))
            continue
        if state.name in states.ENDED:
            continue
        if state.name == states.PROPOSED:
            proposed.append((state.at, _rows(outbox, batch)))
            continue
        queued += 1
        rows += _rows(outbox, batch)
        oldest = min(oldest or state.at, state.order / 1e9)
        due = circuit_breaker.due(state.not_before, now)
        if due > now:
            retries.append(due)
    stopped = breaker.mode != circuit_breaker.CLOSED
    ran, doubt = retention.last_run(outbox)
    last = {"run": 0.0, "sent": 0.0}
    with suppress(OSError):  # then `damage` or `trouble` says why
        last = audit_log.newest(outbox, last)
    return ConnectorStatus(
        name=outbox.name,
        title=title_of(outbox),
        path=outbox.path,
        mode=breaker.mode,
        reason=breaker.reason if stopped else "",
        since=breaker.since,
        next_probe=circuit_breaker.next_probe(breaker, now) if stopped else 0.0,
        next_step=_breaker_advice(breaker, kind_of(outbox)) if stopped else "",
        queued=queued,
        rows_queued=rows,
        oldest=oldest,
        retry_at=min(retries) if retries else 0.0,
        items=tuple(items),
        trouble=trouble or use_trouble(outbox),
        proposed=len(proposed),
        rows_proposed=sum(rows for _, rows in proposed),
        proposed_since=min(proposed)[0] if proposed else 0.0,
        damage=() if trouble else tuple(map(str, verification.damages(outbox, verify_bytes))),
        retention_days={
            name: seconds / DAY
            for name, seconds in periods._asdict().items()
            if name != "rowkeys" or not outbox.has_ledger  # in a directory they go with the batch
        },
        retention_ran=ran,
        retention_doubt=doubt,
        last_run=last["run"],
        last_receipt=last["sent"],
    )


def too_old(status: ConnectorStatus, moment: float) -> str:
    """What of a connector last happened before ``moment`` (seconds since 1970); "" if nothing did.

    A collector has no runs: its receipts count.
    """
    last, what = (status.last_run, "run") if status.last_run else (status.last_receipt, "receipt")
    if last < moment:
        return f"the last {what} was at {iso(last)}" if last else "there was no run"
    if status.queued and status.oldest and status.oldest < moment:
        return f"a batch has been queued since {iso(status.oldest)}"
    return ""


def _batch_status(outbox: Outbox, batch: Batch, kept: float) -> BatchStatus:
    state = batch.state
    if batch.unknown:
        name, reason = "UNKNOWN", "unknown-format"
    elif batch.denied:
        name, reason = "UNREADABLE", "no-permission"
    elif batch.folder == "quarantine" or state is None:
        name, reason = "QUARANTINED", "damaged"
    else:
        name, reason = state.name, state.reason
    return BatchStatus(
        id=batch.id,
        state=name,
        rows=_rows(outbox, batch),
        since=state.at if state else 0.0,
        attempts=state.attempts if state else 0,
        not_before=state.not_before if state else 0.0,
        reason=reason,
        next_step=advice(reason, kind_of(outbox), batch.id[:12]),
        expires=state.at + kept if state and is_undecided(batch) else 0.0,
    )


def _rows(outbox: Outbox, batch: Batch) -> int:
    try:
        return read_manifest(outbox, batch).rows
    except DamageError:
        return 0


def _breaker_advice(breaker: CircuitBreaker, kind: str) -> str:
    if breaker.mode == circuit_breaker.TRIPPED:
        return (
            "Several uploads in a row had no clear outcome, so irmexport tries one batch at a time until "
            f"one succeeds. {advice(breaker.reason, kind)}"
        )
    return f"{advice(breaker.reason, kind)} Then run `irmexport resume`."
