"""The operator's desk: what is held, paused, dead or set aside, why, what next; and the ways to end it.

Every change that a person makes is in the batch's history with who and why. Whoever changes a batch
holds the sender's lock, so that it is not being sent at that moment.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from irmcore.advice import advice
from irmcore.clock import Clock, iso
from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker, store_breaker
from irmcore.delivery.connection import FILE, kind_of
from irmcore.delivery.sender import BATCH_SECONDS, PAYLOAD_SECONDS
from irmcore.disk import Disk
from irmcore.errors import BatchDamaged, DamageError, OperatorError, OutboxBusy, UnknownFormat
from irmcore.intake import accept as intake
from irmcore.outbox import Batch, Outbox, states
from irmcore.outbox.rowkeys import Damaged, unseal


@dataclass(frozen=True)
class Item:
    """A batch that waits or needs a person: its state, how long, why, and what to do next."""

    id: str
    state: str
    rows: int
    since: float
    attempts: int
    not_before: float
    reason: str
    next_step: str


@dataclass(frozen=True)
class Overview:
    """One connector: whether it may send, how much waits, and each batch that needs a person.

    Times in seconds since 1970. ``rows_queued`` counts the rows of batches that will be sent without
    anybody's help.
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
    items: tuple[Item, ...]
    trouble: str = ""

    @property
    def needs_person(self) -> bool:
        return bool(self.items) or self.mode != circuit_breaker.OPEN or bool(self.trouble)


class Operations:
    """All connectors under one outbox directory."""

    def __init__(self, disk: Disk, clock: Clock, root: str) -> None:
        self._disk = disk
        self._clock = clock
        self._root = root.rstrip("/")

    def outbox(self, name: str) -> Outbox:
        return Outbox(self._disk, self._clock, f"{self._root}/{name}")

    def outboxes(self) -> list[Outbox]:
        """The outboxes there are, by name; other directories are passed over."""
        found = [self.outbox(name) for name in self._disk.names(self._root)]
        return [outbox for outbox in found if outbox.exists()]

    def choose(self, prefix: str) -> list[Outbox]:
        """The outboxes of the profile ``prefix``, or whose name begins with it; all of them for "".

        Raises OperatorError if there is none.
        """
        exact = [outbox for outbox in self.outboxes() if prefix in (_name(outbox), profile_of(outbox))]
        found = [outbox for outbox in self.outboxes() if _name(outbox).startswith(prefix)]
        if prefix and not exact and not found:
            names = ", ".join(self.title(outbox) for outbox in self.outboxes()) or "none"
            raise OperatorError(
                f"there is no connector `{prefix}` in this outbox",
                where=self._root,
                next_step=f"There are: {names}.",
            )
        return exact or found

    def title(self, outbox: Outbox) -> str:
        """How a person knows a connector: the profile that fed it last, and the outbox's name."""
        profile = profile_of(outbox)
        return f"{profile} ({_name(outbox)})" if profile else _name(outbox)

    def find(self, prefix: str) -> tuple[Outbox, Batch]:
        """The one batch whose id begins with ``prefix``. Raises OperatorError."""
        found = [(outbox, name) for outbox in self.outboxes() for name in outbox.match(prefix)]
        if len(found) != 1:
            what = "no batch begins" if not found else f"{len(found)} batches begin"
            raise OperatorError(
                f"{what} with this id",
                where=self._root,
                next_step="Give at least 4 and at best 12 characters, as `irmexport status` shows them.",
            )
        outbox, name = found[0]
        return outbox, outbox.reload(name)

    # -- asking -------------------------------------------------------------------------

    def overview(self, outbox: Outbox) -> Overview:
        """What ``irmexport status`` says of one connector."""
        breaker, _ = load_breaker(outbox)
        now = self._clock.now()
        trouble = ""
        try:
            outbox.check_format()
        except UnknownFormat as error:
            trouble = str(error)
        queued, rows, oldest, retries = 0, 0, 0.0, []
        items: list[Item] = []
        for batch in [*outbox.waiting(), *outbox.quarantined()] if not trouble else []:
            state = batch.state
            if batch.place == "quarantine" or state is None or state.name in states.WAITING:
                items.append(self._item(outbox, batch))
                continue
            if state.name in states.ENDED:
                continue
            queued += 1
            rows += _rows(outbox, batch)
            oldest = min(oldest or state.at, state.order / 1e9)
            if state.not_before > now:
                retries.append(state.not_before)
        closed = breaker.mode != circuit_breaker.OPEN
        return Overview(
            name=_name(outbox),
            title=self.title(outbox),
            path=outbox.path,
            mode=breaker.mode,
            reason=breaker.reason if closed else "",
            since=breaker.since,
            next_probe=circuit_breaker.next_probe(breaker, now) if closed else 0.0,
            next_step=_breaker_advice(breaker, kind_of(outbox)) if closed else "",
            queued=queued,
            rows_queued=rows,
            oldest=oldest,
            retry_at=min(retries) if retries else 0.0,
            items=tuple(items),
            trouble=trouble,
        )

    def _item(self, outbox: Outbox, batch: Batch) -> Item:
        state = batch.state
        if batch.unknown:
            name, reason = "UNKNOWN", "unknown-format"
        elif batch.denied:
            name, reason = "UNREADABLE", "no-permission"
        elif batch.place == "quarantine" or state is None:
            name, reason = "QUARANTINED", "damaged"
        else:
            name, reason = state.name, state.reason
        return Item(
            id=batch.id,
            state=name,
            rows=_rows(outbox, batch),
            since=state.at if state else 0.0,
            attempts=state.attempts if state else 0,
            not_before=state.not_before if state else 0.0,
            reason=reason,
            next_step=advice(reason, kind_of(outbox)),
        )

    def describe(self, outbox: Outbox, batch: Batch) -> dict[str, Any]:
        """All that is on record of a batch, as plain values: manifest, state, history."""
        try:
            manifest: dict[str, Any] | None = asdict(outbox.manifest(batch))
            problem = ""
        except DamageError as error:
            manifest, problem = None, str(error)
        return {
            "id": batch.id,
            "connector": _name(outbox),
            "place": batch.place,
            "state": batch.state._asdict() if batch.state else None,
            "manifest": manifest,
            "problem": problem,
            "history": outbox.history(batch),
            "payload_kept": self._disk.exists(f"{batch.path}/payload"),
        }

    def payload(self, outbox: Outbox, batch: Batch) -> bytes:
        """The batch's payload, for a person who may read it. Raises BatchDamaged."""
        return outbox.payload(batch, outbox.manifest(batch))

    def audit(self, since: float) -> Iterator[dict[str, Any]]:
        """Every run and every event of a batch since ``since``, oldest first, as plain values.

        Says who sent what, from what, on whose authority, and what became of it; holds no row.
        """
        events: list[tuple[float, dict[str, Any]]] = []
        for outbox in self.outboxes():
            for record in self._runs(outbox):
                at = _seconds(record.get("at"))
                events.append((at, {"event": "run", "connector": _name(outbox), **record}))
            for batch in outbox.everything():
                events.extend(self._batch_events(outbox, batch))
        for at, event in sorted(events, key=lambda pair: pair[0]):
            if at >= since:
                yield {**event, "at": iso(at)}

    def _runs(self, outbox: Outbox) -> Iterator[dict[str, Any]]:
        for name in self._disk.names(f"{outbox.path}/runs"):
            try:
                record = json.loads(self._disk.read(f"{outbox.path}/runs/{name}"))
            except (ValueError, RecursionError):
                record = None
            yield record if isinstance(record, dict) else {"run": name, "problem": "this record is damaged"}

    def _batch_events(self, outbox: Outbox, batch: Batch) -> Iterator[tuple[float, dict[str, Any]]]:
        base: dict[str, Any] = {"connector": _name(outbox), "batch": batch.id}
        try:
            manifest = outbox.manifest(batch)
            who = {"run": manifest.run, "rows": manifest.rows, "user": manifest.origin.user}
            base.update(who)
            accepted = {
                "event": "accepted",
                "host": manifest.origin.host,
                "app": manifest.origin.app,
                "details": dict(manifest.origin.details),
                "profile": dict(manifest.profile),
                "destination": dict(manifest.destination.address),
                "payload_sha256": manifest.payload_sha256,
            }
            yield manifest.accepted, {**base, **accepted}
        except DamageError as error:
            yield (
                (batch.state.at if batch.state else 0.0),
                {**base, "event": "damaged", "what": error.what},
            )
        for event in outbox.history(batch):
            yield float(event["at"]), {**base, **event}

    # -- doing --------------------------------------------------------------------------

    @contextmanager
    def _at_rest(self, outbox: Outbox) -> Iterator[None]:
        """The sender's lock, so that no batch is on its way while a person changes it."""
        outbox.check_format()
        lock = outbox.sender_lock()
        if lock is None:
            raise OutboxBusy(
                "a sender is working on this connector",
                where=outbox.path,
                next_step="Try again in a moment.",
            )
        try:
            yield
        finally:
            lock.release()

    def held(self, outbox: Outbox, since: float) -> list[Batch]:
        """The held batches that have been so since ``since`` or later."""
        return [
            batch
            for batch in outbox.waiting()
            if batch.state and batch.state.name == states.HELD and batch.state.at >= since
        ]

    def resolve(self, outbox: Outbox, name: str, outcome: str, *, who: str, why: str) -> Batch:
        """End a HELD batch: ``sent`` (the service has it), ``resend``, or ``withdraw``.

        What is dead, set aside or still queued may be withdrawn too.

        Raises OperatorError if the batch is in another state, OutboxBusy while it is being sent.
        """
        with self._at_rest(outbox):
            batch = outbox.reload(name)
            if outcome == "withdraw":
                return self._withdraw(outbox, batch, who, why)
            self._demand(batch, (states.HELD,))
            target = states.SENT if outcome == "sent" else states.READY
            batch = outbox.change(batch, name=target, reason="resolved", not_before=0.0)
            outbox.note(batch, {"event": f"resolved-{outcome}", "by": who, "why": why})
            if target == states.SENT:
                outbox.finish(batch)
            return outbox.reload(name)

    def _withdraw(self, outbox: Outbox, batch: Batch, who: str, why: str) -> Batch:
        """Give a batch up, so that its rows are new to the next run."""
        if batch.place != "quarantine":
            self._demand(batch, (*states.WAITING, states.READY, states.RETRY))
        lock = outbox.intake_lock()
        if lock is None:
            raise OutboxBusy(
                "rows are being handed to this connector",
                where=outbox.path,
                next_step="Try again in a moment.",
            )
        try:
            rows = _rows_of(outbox, batch)
            known = intake.open_ledger(outbox)
            # Announced, so that the ledger lets the rows go also if this ends half way.
            known.announce(batch.id, [batch.id])
            batch = outbox.give_up(batch)
            outbox.note(batch, {"event": "withdrawn", "by": who, "why": why})
            known.remove(rows)
            known.discard(batch.id)
            outbox.finish(batch)
        finally:
            lock.release()
        return outbox.reload(batch.id)

    def requeue(self, outbox: Outbox, name: str, *, who: str, why: str) -> Batch:
        """Put a DEAD or quarantined batch back into the queue, after its hash was proven.

        A quarantined one whose outcome was in doubt comes back as HELD: only ``resolve`` ends a doubt.
        Raises OperatorError, BatchDamaged, OutboxBusy.
        """
        with self._at_rest(outbox):
            batch = outbox.reload(name)
            if batch.place != "quarantine":
                self._demand(batch, (states.DEAD,))
            if batch.state is None or batch.state.name in states.ENDED:
                raise BatchDamaged(
                    "whether this batch was sent cannot be known from what is left of it",
                    where=batch.path,
                    next_step="Keep it for the record; send its rows again from where they came.",
                )
            outbox.payload(batch, outbox.manifest(batch))
            doubtful = batch.state.name in (states.COMMIT, states.HELD)
            state, reason = (states.HELD, "crash-after-commit") if doubtful else (states.READY, "requeued")
            batch = outbox.change(batch, name=state, reason=reason, not_before=0.0)
            outbox.note(batch, {"event": "requeued", "by": who, "why": why})
            return outbox.bring_back(batch) if batch.place == "quarantine" else batch

    def _demand(self, batch: Batch, wanted: tuple[str, ...]) -> None:
        name = batch.state.name if batch.state else "unreadable"
        if batch.place == "quarantine":
            name = "QUARANTINED"
        if name not in wanted:
            raise OperatorError(
                f"batch {batch.id[:12]} is {name}, not {' or '.join(wanted)}",
                where=batch.path,
                next_step="See `irmexport status`.",
            )

    def reconciled(self, name: str, saved: int, *, who: str) -> None:
        """Note that the portal's log has ``saved`` rows of a batch. Its state stays as it is.

        Raises OperatorError, OutboxBusy.
        """
        outbox, batch = self.find(name)
        with self._at_rest(outbox):
            outbox.note(outbox.reload(batch.id), {"event": "reconciled", "saved": saved, "by": who})

    def resume(self, outbox: Outbox) -> bool:
        """Open the connector's gate and let waiting retries go now. Gives whether anything changed."""
        with self._at_rest(outbox):
            breaker, number = load_breaker(outbox)
            if breaker.mode != circuit_breaker.OPEN or breaker.doubts or breaker.refusals or breaker.failures:
                store_breaker(outbox, circuit_breaker.CircuitBreaker(), number)
            waiting = [
                batch
                for batch in outbox.waiting()
                if batch.state and batch.state.name == states.RETRY and batch.state.not_before
            ]
            for batch in waiting:
                outbox.change(batch, not_before=0.0)
            return breaker.mode != circuit_breaker.OPEN or bool(waiting)

    def clean_up(
        self, payload_seconds: float = PAYLOAD_SECONDS, batch_seconds: float = BATCH_SECONDS
    ) -> tuple[int, int]:
        """Remove what is past its retention time, in all connectors: payloads, then batches."""
        payloads = batches = 0
        for outbox in self.outboxes():
            with self._at_rest(outbox):
                done = outbox.clean_up(payload_seconds=payload_seconds, batch_seconds=batch_seconds)
            payloads, batches = payloads + done[0], batches + done[1]
        return payloads, batches

    def reject_files(self, outbox: Outbox) -> list[str]:
        """The paths of the connector's reject files, oldest first."""
        names = self._disk.names(f"{outbox.path}/rejects")
        return [f"{outbox.path}/rejects/{name}" for name in names if name.endswith(".csv")]


def _rows_of(outbox: Outbox, batch: Batch) -> bytes:
    """The records of a batch's rows. Raises BatchDamaged if they are not what was written."""
    try:
        return unseal(outbox.rowkeys(batch))
    except Damaged:
        raise BatchDamaged(
            "the row keys are damaged, so its rows cannot be given back",
            where=f"{batch.path}/rowkeys",
            next_step="Keep the batch for the record; rows that differ in any field can be sent.",
        ) from None


def _breaker_advice(breaker: circuit_breaker.CircuitBreaker, kind: str) -> str:
    if breaker.mode == circuit_breaker.BREAKER:
        return (
            "Upload after upload had no clear outcome, so one batch at a time is tried until one succeeds. "
            + advice(breaker.reason, kind)
        )
    return f"{advice(breaker.reason, kind)} Then `irmexport resume`."


def _rows(outbox: Outbox, batch: Batch) -> int:
    try:
        return outbox.manifest(batch).rows
    except DamageError:
        return 0


def profile_of(outbox: Outbox) -> str:
    """The name of the profile whose settings stand beside the outbox, or "" if none can be read."""
    try:
        return str(json.loads(outbox.read_file(FILE) or b"{}").get("profile", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""


def _name(outbox: Outbox) -> str:
    return outbox.path.rsplit("/", 1)[1]


def _seconds(text: object) -> float:
    """The moment of a run's record; 0 if it has none that can be read."""
    try:
        return datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return 0.0
