"""Outbox → receipt: one sender a connector, one attempt a batch, every step durable before the next.

    READY ─▶ INTENT ─▶ (body) ─▶ COMMIT ─▶ (tail) ─▶ reply ─▶ SENT | RETRY | HELD | DEAD | SPLIT

What it promises: a batch with a receipt is never sent again; a batch whose outcome nobody knows is
held (or sent again, if its destination says so) and never resolved silently; one batch never blocks
another. What it decides on is in ``replies`` (a batch) and ``gate`` (the connector), both pure.
"""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol

from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker, store_breaker
from irmcore.delivery.circuit_breaker import CircuitBreaker
from irmcore.delivery.in_flight import InFlight
from irmcore.delivery.replies import Action, Decision, Failure, Outcome, Reply, decide, without_values
from irmcore.errors import (
    BatchDamaged,
    BatchDenied,
    BatchUnwritable,
    CredentialError,
    OutboxBusy,
    OutboxFull,
    UnknownFormat,
)
from irmcore.http.auth import TokenSource, TokenTrouble
from irmcore.outbox import Batch, Draft, Manifest, Outbox, Run, accept_run, states
from irmcore.outbox.batch_files import read_manifest, read_payload, read_rowkeys
from irmcore.outbox.rowkeys import split_rowkeys
from irmcore.outbox.transitions import move_to_done, quarantine, record_event, sync_state, write_state

if TYPE_CHECKING:
    from irmcore.http.upload import Transport

#: Why a batch is left as it is: the disk fails its state, or this user may not read it.
DISK = "disk-error"
DENIED = "no-permission"

#: Halves a payload of a content type that was too large, or None if it cannot be halved.
Splitter = Callable[[bytes], Optional[tuple[tuple[bytes, int], tuple[bytes, int]]]]


@dataclass(frozen=True)
class Service:
    """How batches of one kind of destination are sent.

    ``url`` makes the address of a destination's uploads; ``setup`` fingerprints the configuration (never
    the secret); ``deadline`` in seconds for one upload; ``splitters`` by content type; ``hide`` takes the
    values of a payload's rows out of a reply's text.
    """

    url: Callable[[Mapping[str, str]], str]
    transport: Transport
    tokens: TokenSource
    setup: str
    deadline: float
    splitters: Mapping[str, Splitter] = field(default_factory=dict)
    hide: Callable[[str, bytes], str] = without_values
    in_flight: int = 1


class Listener(Protocol):
    """Told what happens to each batch: event is start, or an Action's value."""

    def __call__(self, event: str, batch: Batch, manifest: Manifest, detail: Mapping[str, Any]) -> None: ...


@dataclass
class Report:
    """What one drain did. ``due`` is when something may be sent next (seconds since 1970), or None."""

    sent: int = 0
    rows_sent: int = 0
    retrying: int = 0
    held: int = 0
    dead: int = 0
    split: int = 0
    quarantined: int = 0
    queued: int = 0
    trouble: str = ""
    advice: str = ""
    due: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, under the names that scripts and dashboards read."""
        return {"waiting" if name == "queued" else name: value for name, value in vars(self).items()}


def _silent(event: str, batch: Batch, manifest: Manifest, detail: Mapping[str, Any]) -> None:
    return


class Sender:
    """Drains one connector's outbox."""

    def __init__(
        self,
        outbox: Outbox,
        service: Service,
        *,
        listener: Listener = _silent,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._clock = outbox.clock
        self._service = service
        self._listener = listener
        self._jitter = jitter
        self._breaker = CircuitBreaker()
        self._breaker_number = -1
        # Held by whoever works on the report, the gate, the token or the box; let go of while an upload
        # is on its way. So uploads overlap, and nothing else does but that each writes its own COMMIT.
        self._turn = threading.Lock()

    def drain(self, *, until: float | None = None) -> Report:
        """Send what may be sent now. ``until``: monotonic seconds after which no attempt begins.

        Raises OutboxBusy if another sender of this connector is alive, UnknownFormat, OSError.
        """
        self._outbox.check_format()
        lock = self._outbox.sender_lock()
        if lock is None:
            raise OutboxBusy(
                "another process is sending for this connector",
                where=self._outbox.path,
                next_step="It will send these batches too; see `irmexport status`.",
            )
        try:
            self._breaker = self._load_breaker()
            report = Report()
            self._work(self._recover(report), report, until)
            return report
        finally:
            lock.release()

    # -- after a crash ------------------------------------------------------------------

    def _recover(self, report: Report) -> list[Batch]:
        """Bring every batch that an earlier process left half way into a state of rest."""
        queue = []
        waiting = self._outbox.ready()
        if waiting:
            # Else a power loss could take away what is sent now, and its rows would be accepted anew.
            self._outbox.sync_ready()
        for batch in waiting:
            try:
                queue.extend(self._at_rest(batch, report))
            except BatchUnwritable:
                self._leave(report, DISK)
        return queue

    def _at_rest(self, batch: Batch, report: Report) -> list[Batch]:
        """What is to be sent of a batch, after it was brought into a state of rest."""
        queue: list[Batch] = []
        if batch.unknown:
            self._leave(report)  # a later version's: left untouched
        elif batch.denied:
            self._leave(report, DENIED)
        elif batch.state is not None and batch.state.name in states.ENDED:
            sync_state(self._outbox, batch)
            self._finish(batch)
        elif batch.damaged or batch.state is None:
            self._set_aside(batch, "a state slot is damaged", report)
        elif batch.state.name == states.SPLIT:
            sync_state(self._outbox, batch)
            queue = self._halve(batch, report)
        elif batch.state.name == states.INTENT:
            # The body was short of its length when the process ended: not accepted.
            queue = [write_state(self._outbox, batch, name=states.RETRY, reason="crash", not_before=0.0)]
        elif batch.state.name == states.COMMIT:
            queue = self._in_doubt(batch, report)
        elif batch.state.name in (states.READY, states.RETRY):
            queue = [batch]
        return queue

    def _in_doubt(self, batch: Batch, report: Report) -> list[Batch]:
        """A batch whose process ended after COMMIT: the same rule as for a lost reply."""
        manifest = self._described(batch, report)
        if manifest is None:
            return []
        attempts = batch.state.attempts if batch.state else 1
        decision = decide(
            Failure("crash", committed=True),
            attempt=max(attempts, 1),
            refreshed=True,
            in_doubt=manifest.destination.in_doubt,
            jitter=self._jitter(),
        )
        after = self._settle(batch, manifest, decision, Failure("crash", committed=True), report)
        return [after] if decision.action is Action.RETRY else []

    # -- the queue ----------------------------------------------------------------------

    def _work(self, queue: list[Batch], report: Report, until: float | None) -> None:
        later: list[float] = []
        with InFlight(self._service.in_flight) as in_flight:
            for position, batch in enumerate(queue):
                stopped = in_flight.land(lambda: self._room(report))
                now = self._clock.now()
                if stopped:
                    self._wait(report, len(queue) - position)
                    break
                if until is not None and self._clock.monotonic() >= until:
                    self._wait(report, len(queue) - position, due=now)
                    break
                if not circuit_breaker.may_send(self._breaker, now, self._service.setup):
                    due = circuit_breaker.next_probe(self._breaker, now)
                    self._wait(report, len(queue) - position, due=due, trouble=self._breaker.reason)
                    break
                due = self._due(batch, now)
                if due > now:
                    self._wait(report, 1)
                    later.append(due)
                    continue
                in_flight.start(partial(self._in_turn, batch, report))
            else:
                if not in_flight.land(lambda: 1) and later:
                    # One that has just failed may be due before those that were not.
                    report.due = min(later if report.due is None else [*later, report.due])
                return
            in_flight.land(lambda: 1)

    def _room(self, report: Report) -> int:
        """How many uploads may be on their way now.

        One, until one was accepted, and again as soon as one was not: so an outage, or a column that is
        wrong, costs what it costs a sender that sends one by one, and at most the others on their way.
        """
        with self._turn:
            breaker = self._breaker
            well = breaker.mode == circuit_breaker.CLOSED and not (
                breaker.doubts or breaker.refusals or breaker.failures
            )
            return self._service.in_flight if well and report.sent else 1

    def _wait(self, report: Report, batches: int, *, due: float | None = None, trouble: str = "") -> None:
        with self._turn:
            report.queued += batches
            report.trouble = report.trouble or trouble
            if due is not None:
                report.due = due

    def _in_turn(self, batch: Batch, report: Report) -> bool:
        with self._turn:
            try:
                return self._attempt(batch, report)
            except BatchUnwritable as error:
                return self._unwritable(error.batch, report)

    def _due(self, batch: Batch, now: float) -> float:
        """When a batch may go. A clock that was set back does not put it off beyond an hour."""
        not_before = batch.state.not_before if batch.state else 0.0
        return not_before if not_before - now <= 3600.0 else now

    def _attempt(self, batch: Batch, report: Report) -> bool:
        """Try one batch. Gives True if the connector as a whole must stop for now."""
        content = self._content(batch, report)
        if content is None:
            return False
        manifest, payload = content
        self._listener("start", batch, manifest, {})
        refreshed = False
        while True:
            token = self._token(report)
            if token is None:
                report.queued += 1
                return True
            batch, outcome = self._post(batch, manifest, payload, token)
            decision = decide(
                outcome,
                attempt=batch.state.attempts if batch.state else 1,
                refreshed=refreshed,
                in_doubt=manifest.destination.in_doubt,
                jitter=self._jitter(),
            )
            if decision.action is not Action.REFRESH:
                break
            refreshed = True
            self._service.tokens.refresh()
            # A 401 is a definite no: should the next token fail, nothing is in doubt.
            batch = write_state(self._outbox, batch, name=states.RETRY, reason=decision.code)
        if decision.action is Action.DEAD and circuit_breaker.is_probe(self._breaker, self._service.setup):
            # The connector is paused because batch after batch was refused: this one is not given up.
            decision = Decision(Action.RETRY, decision.code)
        # The receipt first: what happens to the gate must not cost it.
        batch = self._settle(batch, manifest, decision, outcome, report)
        self._move_breaker(decision)
        if decision.action is Action.SPLIT:
            for half in self._halve(batch, report):
                if self._attempt(half, report):
                    return True
        return decision.action is Action.PAUSE

    def _described(self, batch: Batch, report: Report) -> Manifest | None:
        """The manifest, or None after a batch without a good one was set aside or left."""
        try:
            return read_manifest(self._outbox, batch)
        except BatchDamaged as error:
            self._set_aside(batch, error.what, report)
        except UnknownFormat:
            self._leave(report)
        except BatchDenied:
            self._leave(report, DENIED)
        return None

    def _content(self, batch: Batch, report: Report) -> tuple[Manifest, bytes] | None:
        """Manifest and payload, proven; None after a batch whose files are not good was set aside or left."""
        manifest = self._described(batch, report)
        if manifest is None:
            return None
        try:
            return manifest, read_payload(self._outbox, batch, manifest)
        except BatchDamaged as error:
            self._set_aside(batch, error.what, report)
        except BatchDenied:
            self._leave(report, DENIED)
        return None

    def _unwritable(self, name: str, report: Report) -> bool:
        """Go on after the disk has failed a batch's state: it stays as it is. Gives False.

        If its upload may have arrived, this counts as a doubt: a disk that fails receipt after receipt
        opens the breaker.
        """
        self._leave(report, DISK)
        state = self._outbox.get(name).state
        if state is None or state.name not in (states.READY, states.INTENT, states.RETRY):
            self._move_breaker(Decision(Action.HOLD, DISK, doubt=True))
        return False

    def _token(self, report: Report) -> str | None:
        """A token, or None with the reason in the report; no batch is touched."""
        try:
            return self._service.tokens.token()
        except TokenTrouble as trouble:
            action = Action.RETRY if trouble.wait else Action.PAUSE
            report.trouble, report.advice = trouble.code, trouble.advice
            now = self._clock.now()
            if action is Action.PAUSE:
                self._move_breaker(Decision(action, trouble.code))
                report.due = circuit_breaker.next_probe(self._breaker, now)
            else:
                report.due = now + 60.0
            return None
        except CredentialError as error:
            # The pause is for people to see: the next drain reads the credential anew (see ``gate``).
            self._move_breaker(Decision(Action.PAUSE, circuit_breaker.CREDENTIAL))
            report.trouble, report.advice = circuit_breaker.CREDENTIAL, str(error)
            report.due = self._clock.now()
            return None

    def _post(self, batch: Batch, manifest: Manifest, payload: bytes, token: str) -> tuple[Batch, Outcome]:
        """One attempt: INTENT durable, the body but its tail, COMMIT durable, the tail, the answer."""
        # Loaded here, with requests: the command line knows this module whatever it is asked to do.
        from irmcore.http.upload import Upload  # noqa: PLC0415

        attempts = (batch.state.attempts if batch.state else 0) + 1
        batch = write_state(
            self._outbox, batch, name=states.INTENT, attempts=attempts, reason="", not_before=0.0
        )
        current = [batch]

        def commit() -> None:
            current[0] = write_state(self._outbox, current[0], name=states.COMMIT)

        upload = Upload(
            url=self._service.url(manifest.destination.address),
            token=token,
            file_name=f"irmexport-{manifest.id[:16]}.csv",
            content_type=manifest.content_type,
            content=io.BytesIO(payload),
            length=len(payload),
            deadline=self._service.deadline,
        )
        self._turn.release()
        try:
            outcome = self._service.transport.post(upload, commit)
        finally:
            self._turn.acquire()
        if isinstance(outcome, Reply) and outcome.text and (outcome.page or not 200 <= outcome.status < 300):
            # These words are kept and shown, and may quote the rows.
            outcome = replace(outcome, text=self._service.hide(outcome.text, payload))
        return current[0], outcome

    # -- what is written after an answer -------------------------------------------------------

    def _settle(
        self, batch: Batch, manifest: Manifest, decision: Decision, outcome: Outcome, report: Report
    ) -> Batch:
        """Write the state that ``decision`` means, then the history, then tell."""
        now = self._clock.now()
        status = 0 if isinstance(outcome, Failure) else outcome.status
        request_id = "" if isinstance(outcome, Failure) else outcome.request_id
        text = "" if isinstance(outcome, Failure) else outcome.text
        name = _STATE_AFTER[decision.action]
        reason = decision.code + (" flagged" if decision.flagged else "")
        batch = write_state(
            self._outbox,
            batch,
            name=name,
            reason=reason,
            status=status,
            request_id=request_id,
            not_before=now + decision.wait if name == states.RETRY and decision.wait else 0.0,
        )
        detail: dict[str, Any] = {
            "event": decision.action.value,
            "code": decision.code,
            "status": status,
            "request_id": request_id,
            "attempt": batch.state.attempts if batch.state else 0,
        }
        if decision.flagged:
            detail["flagged"] = "accepted, perhaps in part"
        if decision.action not in (Action.SENT, Action.RETRY):
            detail["reply"] = text[:1000]
        self._note(batch, detail)
        self._count(decision, manifest, report)
        self._listener(decision.action.value, batch, manifest, detail)
        if name == states.SENT:
            self._finish(batch)
        return batch

    def _count(self, decision: Decision, manifest: Manifest, report: Report) -> None:
        if decision.action is Action.SENT:
            report.sent += 1
            report.rows_sent += manifest.rows
        elif decision.action is Action.HOLD:
            report.held += 1
            report.trouble = report.trouble or decision.code
        elif decision.action is Action.DEAD:
            report.dead += 1
            report.trouble = report.trouble or decision.code
        elif decision.action is Action.SPLIT:
            report.split += 1
        else:
            report.retrying += 1
            report.queued += 1
            report.trouble = report.trouble or decision.code
            if decision.wait:
                at = self._clock.now() + decision.wait
                report.due = at if report.due is None else min(report.due, at)

    def _note(self, batch: Batch, event: dict[str, Any]) -> None:
        """The history is written after the state, which alone counts; a full disk costs only the line."""
        try:
            record_event(self._outbox, batch, event)
        except OSError:
            self._listener("history-lost", batch, read_manifest(self._outbox, batch), {})

    def _finish(self, batch: Batch) -> None:
        try:
            move_to_done(self._outbox, batch)
        except OSError:
            return  # the state says SENT; the next sender moves it

    def _set_aside(self, batch: Batch, why: str, report: Report) -> None:
        report.quarantined += 1
        report.trouble = report.trouble or "damaged"
        note = partial(record_event, self._outbox, batch, {"event": "quarantined", "reply": why})
        for act in (note, partial(quarantine, self._outbox, batch)):
            try:
                act()
            except OSError:
                continue  # without the note, or where it is, to be refused again by the next sender

    def _halve(self, batch: Batch, report: Report) -> list[Batch]:
        """The halves of a SPLIT batch, accepted (again, if a crash came between), then it is done."""
        content = self._content(batch, report)
        if content is None:
            return []
        manifest, payload = content
        splitter = self._service.splitters.get(manifest.content_type)
        halves = splitter(payload) if splitter else None
        if halves is None:
            dead = write_state(self._outbox, batch, name=states.DEAD, reason="http-413")
            self._note(dead, {"event": "dead", "code": "http-413", "reply": "one row is too large"})
            report.dead += 1
            report.trouble = report.trouble or "http-413"
            return []
        try:
            found = self._accept_halves(batch, manifest, halves)
        except (OSError, OutboxFull):
            return self._leave(report, "disk-full")  # the state says SPLIT: the next sender does it
        self._finish(batch)
        return found

    def _leave(self, report: Report, trouble: str = "unknown-format") -> list[Batch]:
        """Leave a batch as it is, for a later version or a later time."""
        report.queued += 1
        report.trouble = report.trouble or trouble
        return []

    def _accept_halves(
        self,
        batch: Batch,
        manifest: Manifest,
        halves: tuple[tuple[bytes, int], tuple[bytes, int]],
    ) -> list[Batch]:
        keys = split_rowkeys(read_rowkeys(self._outbox, batch), [rows for _, rows in halves])
        drafts = [
            Draft(payload, manifest.content_type, manifest.destination, rows, partial(_as_they_are, part))
            for (payload, rows), part in zip(halves, keys)
        ]
        profile = {**manifest.profile, "split_from": batch.id}
        run = Run(manifest.run, manifest.accepted, manifest.origin, profile, manifest.counts, manifest.tool)
        # A half that is in the outbox already is in the queue like any other batch.
        return [self._outbox.get(name) for name in accept_run(self._outbox, run, drafts, renew=False)]

    # -- the gate -----------------------------------------------------------------------

    def _load_breaker(self) -> CircuitBreaker:
        found, number = load_breaker(self._outbox)
        self._breaker_number = number
        return found

    def _move_breaker(self, decision: Decision) -> None:
        moved = circuit_breaker.after(self._breaker, decision, self._clock.now(), self._service.setup)
        if moved != self._breaker:
            self._breaker_number = store_breaker(self._outbox, moved, self._breaker_number)
            self._breaker = moved


def _as_they_are(rowkeys: bytes, _: bytes) -> bytes:
    """A half's row keys name the whole batch, as the ledger does."""
    return rowkeys


_STATE_AFTER = {
    Action.SENT: states.SENT,
    Action.RETRY: states.RETRY,
    Action.PAUSE: states.RETRY,
    Action.REFRESH: states.RETRY,
    Action.HOLD: states.HELD,
    Action.DEAD: states.DEAD,
    Action.SPLIT: states.SPLIT,
}
