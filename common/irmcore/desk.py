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

from irmcore import gate as gates
from irmcore import intake
from irmcore.advice import advice
from irmcore.clock import Clock, iso
from irmcore.connection import FILE, kind_of
from irmcore.delivery import BATCH_SECONDS, PAYLOAD_SECONDS
from irmcore.disk import Disk
from irmcore.errors import BatchDamaged, DamageError, OperatorError, OutboxBusy, UnknownFormat
from irmcore.ledger import Damaged, opened
from irmcore.outbox import Batch, Box, states
from irmcore.standing import load_gate, store_gate


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
        return bool(self.items) or self.mode != gates.OPEN or bool(self.trouble)


class Desk:
    """All connectors under one outbox directory."""

    def __init__(self, disk: Disk, clock: Clock, root: str) -> None:
        self._disk = disk
        self._clock = clock
        self._root = root.rstrip("/")

    def box(self, name: str) -> Box:
        return Box(self._disk, self._clock, f"{self._root}/{name}")

    def boxes(self) -> list[Box]:
        """The outboxes there are, by name; other directories are passed over."""
        found = [self.box(name) for name in self._disk.names(self._root)]
        return [box for box in found if box.exists()]

    def choose(self, prefix: str) -> list[Box]:
        """The outboxes of the profile ``prefix``, or whose name begins with it; all of them for "".

        Raises OperatorError if there is none.
        """
        exact = [box for box in self.boxes() if prefix in (_name(box), profile_of(box))]
        found = [box for box in self.boxes() if _name(box).startswith(prefix)]
        if prefix and not exact and not found:
            names = ", ".join(self.title(box) for box in self.boxes()) or "none"
            raise OperatorError(
                f"there is no connector `{prefix}` in this outbox",
                where=self._root,
                next_step=f"There are: {names}.",
            )
        return exact or found

    def title(self, box: Box) -> str:
        """How a person knows a connector: the profile that fed it last, and the outbox's name."""
        profile = profile_of(box)
        return f"{profile} ({_name(box)})" if profile else _name(box)

    def find(self, prefix: str) -> tuple[Box, Batch]:
        """The one batch whose id begins with ``prefix``. Raises OperatorError."""
        found = [(box, name) for box in self.boxes() for name in box.match(prefix)]
        if len(found) != 1:
            what = "no batch begins" if not found else f"{len(found)} batches begin"
            raise OperatorError(
                f"{what} with this id",
                where=self._root,
                next_step="Give at least 4 and at best 12 characters, as `irmexport status` shows them.",
            )
        box, name = found[0]
        return box, box.reload(name)

    # -- asking -------------------------------------------------------------------------

    def overview(self, box: Box) -> Overview:
        """What ``irmexport status`` says of one connector."""
        gate, _ = load_gate(box)
        now = self._clock.now()
        trouble = ""
        try:
            box.check_format()
        except UnknownFormat as error:
            trouble = str(error)
        queued, rows, oldest, retries = 0, 0, 0.0, []
        items: list[Item] = []
        for batch in [*box.waiting(), *box.quarantined()] if not trouble else []:
            state = batch.state
            if batch.place == "quarantine" or state is None or state.name in states.WAITING:
                items.append(self._item(box, batch))
                continue
            if state.name in states.ENDED:
                continue
            queued += 1
            rows += _rows(box, batch)
            oldest = min(oldest or state.at, state.order / 1e9)
            if state.not_before > now:
                retries.append(state.not_before)
        closed = gate.mode != gates.OPEN
        return Overview(
            name=_name(box),
            title=self.title(box),
            path=box.path,
            mode=gate.mode,
            reason=gate.reason if closed else "",
            since=gate.since,
            next_probe=gates.next_probe(gate, now) if closed else 0.0,
            next_step=_gate_advice(gate, kind_of(box)) if closed else "",
            queued=queued,
            rows_queued=rows,
            oldest=oldest,
            retry_at=min(retries) if retries else 0.0,
            items=tuple(items),
            trouble=trouble,
        )

    def _item(self, box: Box, batch: Batch) -> Item:
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
            rows=_rows(box, batch),
            since=state.at if state else 0.0,
            attempts=state.attempts if state else 0,
            not_before=state.not_before if state else 0.0,
            reason=reason,
            next_step=advice(reason, kind_of(box)),
        )

    def describe(self, box: Box, batch: Batch) -> dict[str, Any]:
        """All that is on record of a batch, as plain values: manifest, state, history."""
        try:
            manifest: dict[str, Any] | None = asdict(box.manifest(batch))
            problem = ""
        except DamageError as error:
            manifest, problem = None, str(error)
        return {
            "id": batch.id,
            "connector": _name(box),
            "place": batch.place,
            "state": batch.state._asdict() if batch.state else None,
            "manifest": manifest,
            "problem": problem,
            "history": box.history(batch),
            "payload_kept": self._disk.exists(f"{batch.path}/payload"),
        }

    def payload(self, box: Box, batch: Batch) -> bytes:
        """The batch's payload, for a person who may read it. Raises BatchDamaged."""
        return box.payload(batch, box.manifest(batch))

    def audit(self, since: float) -> Iterator[dict[str, Any]]:
        """Every run and every event of a batch since ``since``, oldest first, as plain values.

        Says who sent what, from what, on whose authority, and what became of it; holds no row.
        """
        events: list[tuple[float, dict[str, Any]]] = []
        for box in self.boxes():
            for record in self._runs(box):
                at = _seconds(record.get("at"))
                events.append((at, {"event": "run", "connector": _name(box), **record}))
            for batch in box.everything():
                events.extend(self._batch_events(box, batch))
        for at, event in sorted(events, key=lambda pair: pair[0]):
            if at >= since:
                yield {**event, "at": iso(at)}

    def _runs(self, box: Box) -> Iterator[dict[str, Any]]:
        for name in self._disk.names(f"{box.path}/runs"):
            try:
                record = json.loads(self._disk.read(f"{box.path}/runs/{name}"))
            except (ValueError, RecursionError):
                record = None
            yield record if isinstance(record, dict) else {"run": name, "problem": "this record is damaged"}

    def _batch_events(self, box: Box, batch: Batch) -> Iterator[tuple[float, dict[str, Any]]]:
        base: dict[str, Any] = {"connector": _name(box), "batch": batch.id}
        try:
            manifest = box.manifest(batch)
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
        for event in box.history(batch):
            yield float(event["at"]), {**base, **event}

    # -- doing --------------------------------------------------------------------------

    @contextmanager
    def _at_rest(self, box: Box) -> Iterator[None]:
        """The sender's lock, so that no batch is on its way while a person changes it."""
        box.check_format()
        lock = box.sender_lock()
        if lock is None:
            raise OutboxBusy(
                "a sender is working on this connector",
                where=box.path,
                next_step="Try again in a moment.",
            )
        try:
            yield
        finally:
            lock.release()

    def held(self, box: Box, since: float) -> list[Batch]:
        """The held batches that have been so since ``since`` or later."""
        return [
            batch
            for batch in box.waiting()
            if batch.state and batch.state.name == states.HELD and batch.state.at >= since
        ]

    def resolve(self, box: Box, name: str, outcome: str, *, who: str, why: str) -> Batch:
        """End a HELD batch: ``sent`` (the service has it), ``resend``, or ``withdraw``.

        What is dead, set aside or still queued may be withdrawn too.

        Raises OperatorError if the batch is in another state, OutboxBusy while it is being sent.
        """
        with self._at_rest(box):
            batch = box.reload(name)
            if outcome == "withdraw":
                return self._withdraw(box, batch, who, why)
            self._demand(batch, (states.HELD,))
            target = states.SENT if outcome == "sent" else states.READY
            batch = box.change(batch, name=target, reason="resolved", not_before=0.0)
            box.note(batch, {"event": f"resolved-{outcome}", "by": who, "why": why})
            if target == states.SENT:
                box.finish(batch)
            return box.reload(name)

    def _withdraw(self, box: Box, batch: Batch, who: str, why: str) -> Batch:
        """Give a batch up, so that its rows are new to the next run."""
        if batch.place != "quarantine":
            self._demand(batch, (*states.WAITING, states.READY, states.RETRY))
        lock = box.intake_lock()
        if lock is None:
            raise OutboxBusy(
                "rows are being handed to this connector",
                where=box.path,
                next_step="Try again in a moment.",
            )
        try:
            rows = _rows_of(box, batch)
            known = intake.open_ledger(box)
            # Announced, so that the ledger lets the rows go also if this ends half way.
            known.announce(batch.id, [batch.id])
            batch = box.give_up(batch)
            box.note(batch, {"event": "withdrawn", "by": who, "why": why})
            known.forget(rows)
            known.settle(batch.id)
            box.finish(batch)
        finally:
            lock.release()
        return box.reload(batch.id)

    def requeue(self, box: Box, name: str, *, who: str, why: str) -> Batch:
        """Put a DEAD or quarantined batch back into the queue, after its hash was proven.

        A quarantined one whose outcome was in doubt comes back as HELD: only ``resolve`` ends a doubt.
        Raises OperatorError, BatchDamaged, OutboxBusy.
        """
        with self._at_rest(box):
            batch = box.reload(name)
            if batch.place != "quarantine":
                self._demand(batch, (states.DEAD,))
            if batch.state is None or batch.state.name in states.ENDED:
                raise BatchDamaged(
                    "whether this batch was sent cannot be known from what is left of it",
                    where=batch.path,
                    next_step="Keep it for the record; send its rows again from where they came.",
                )
            box.payload(batch, box.manifest(batch))
            doubtful = batch.state.name in (states.COMMIT, states.HELD)
            state, reason = (states.HELD, "crash-after-commit") if doubtful else (states.READY, "requeued")
            batch = box.change(batch, name=state, reason=reason, not_before=0.0)
            box.note(batch, {"event": "requeued", "by": who, "why": why})
            return box.bring_back(batch) if batch.place == "quarantine" else batch

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
        box, batch = self.find(name)
        with self._at_rest(box):
            box.note(box.reload(batch.id), {"event": "reconciled", "saved": saved, "by": who})

    def resume(self, box: Box) -> bool:
        """Open the connector's gate and let waiting retries go now. Gives whether anything changed."""
        with self._at_rest(box):
            gate, number = load_gate(box)
            if gate.mode != gates.OPEN or gate.doubts or gate.refusals or gate.failures:
                store_gate(box, gates.Gate(), number)
            waiting = [
                batch
                for batch in box.waiting()
                if batch.state and batch.state.name == states.RETRY and batch.state.not_before
            ]
            for batch in waiting:
                box.change(batch, not_before=0.0)
            return gate.mode != gates.OPEN or bool(waiting)

    def clean_up(
        self, payload_seconds: float = PAYLOAD_SECONDS, batch_seconds: float = BATCH_SECONDS
    ) -> tuple[int, int]:
        """Remove what is past its retention time, in all connectors: payloads, then batches."""
        payloads = batches = 0
        for box in self.boxes():
            with self._at_rest(box):
                done = box.clean_up(payload_seconds=payload_seconds, batch_seconds=batch_seconds)
            payloads, batches = payloads + done[0], batches + done[1]
        return payloads, batches

    def reject_files(self, box: Box) -> list[str]:
        """The paths of the connector's reject files, oldest first."""
        names = self._disk.names(f"{box.path}/rejects")
        return [f"{box.path}/rejects/{name}" for name in names if name.endswith(".csv")]


def _rows_of(box: Box, batch: Batch) -> bytes:
    """The records of a batch's rows. Raises BatchDamaged if they are not what was written."""
    try:
        return opened(box.rowkeys(batch))
    except Damaged:
        raise BatchDamaged(
            "the row keys are damaged, so its rows cannot be given back",
            where=f"{batch.path}/rowkeys",
            next_step="Keep the batch for the record; rows that differ in any field can be sent.",
        ) from None


def _gate_advice(gate: gates.Gate, kind: str) -> str:
    if gate.mode == gates.BREAKER:
        return (
            "Upload after upload had no clear outcome, so one batch at a time is tried until one succeeds. "
            + advice(gate.reason, kind)
        )
    return f"{advice(gate.reason, kind)} Then `irmexport resume`."


def _rows(box: Box, batch: Batch) -> int:
    try:
        return box.manifest(batch).rows
    except DamageError:
        return 0


def profile_of(box: Box) -> str:
    """The name of the profile whose settings stand beside the outbox, or "" if none can be read."""
    try:
        return str(json.loads(box.read_file(FILE) or b"{}").get("profile", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""


def _name(box: Box) -> str:
    return box.path.rsplit("/", 1)[1]


def _seconds(text: object) -> float:
    """The moment of a run's record; 0 if it has none that can be read."""
    try:
        return datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return 0.0
