"""Outbox → receipt: one sender per connector, every step durable before the next.

    READY ─▶ INTENT ─▶ (body) ─▶ COMMIT ─▶ (tail) ─▶ reply ─▶ SENT | RETRY | HELD | DEAD | SPLIT

Promise: a batch with a receipt is never sent again. A batch whose outcome is unknown is held (or sent again,
if its destination says so) and never resolved silently. One batch never blocks another. The decisions are in
``replies`` (about a batch) and ``circuit_breaker`` (about the connector), both pure.
"""

from __future__ import annotations

import io
import random
import threading
from collections import deque
from dataclasses import replace
from functools import partial
from typing import Callable

from irmcore.delivery import circuit_breaker
from irmcore.delivery.arrivals import Arrivals
from irmcore.delivery.breaker_store import StoredBreaker
from irmcore.delivery.in_flight import InFlight
from irmcore.delivery.recorder import DISK, Recorder
from irmcore.delivery.recovery import recover
from irmcore.delivery.replies import Action, Decision, decide
from irmcore.delivery.reply_text import redacted
from irmcore.delivery.report import Listener, Report, ignore_events
from irmcore.delivery.service import Service
from irmcore.delivery.splitting import split
from irmcore.disk import Lock
from irmcore.errors import AnotherSender, BatchUnwritable, CredentialError, OutboxBusy, Overtaken
from irmcore.http.auth import TokenTrouble
from irmcore.http.outcome import REPLY_CHARACTERS, Failure, Outcome, Reply
from irmcore.outbox import Batch, Manifest, Outbox, promotion_note, states
from irmcore.outbox.transitions import write_state

#: Seconds before the next try for a token, if the problem may pass.
_TOKEN_WAIT = 60.0
#: Batches that are read at a time. They are sent in the order in which they were accepted.
_READ_AHEAD = 256
#: Seconds between two tries for the sender's lock.
_LOCK_PAUSE = 0.05


class Sender:
    """Drains one connector's outbox."""

    def __init__(
        self,
        outbox: Outbox,
        service: Service,
        *,
        listener: Listener = ignore_events,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._service = service
        self._listener = listener
        self._jitter = jitter

    def drain(self, *, until: float | None = None, wait: float = 0.0) -> Report:
        """Send what may be sent now, also what is accepted meanwhile (``arrivals`` says when that ends).

        ``until``: monotonic seconds after which no attempt begins, except for the first. ``wait``: seconds to
        wait for a process that holds the sender's lock for a moment, and does not send.
        Raises AnotherSender if another sender is at work, OutboxBusy, OSError, and what
        ``Outbox.check`` raises.
        """
        self._outbox.check()
        lock = self._acquire(wait)
        try:
            return _Drain(self._outbox, self._service, self._listener, self._jitter).run(until)
        finally:
            lock.release()

    def _acquire(self, wait: float) -> Lock:
        clock = self._outbox.clock
        end = clock.monotonic() + wait
        while True:
            lock = self._outbox.sender_lock(takes_in=True)
            if lock is not None:
                return self._outbox.checked(lock)
            if self._outbox.is_taken_in():
                raise AnotherSender(
                    "another sender is at work, and sends what is queued now too",
                    where=self._outbox.path,
                    next_step="Nothing to do. `irmexport status` shows what is still queued.",
                )
            if clock.monotonic() >= end:
                raise OutboxBusy(
                    "another process works on the batches of this connector",
                    where=self._outbox.path,
                    next_step="They stay queued: run `irmexport drain` when the other process has finished.",
                )
            clock.sleep(_LOCK_PAUSE)


class _Drain:
    """One drain, by the holder of the sender's lock.

    Uploads overlap; nothing else does, except that each upload writes its own COMMIT. ``_turn`` is held by
    the thread that works on the report, the breaker, the token or the outbox, and released during an upload.
    """

    def __init__(
        self, outbox: Outbox, service: Service, listener: Listener, jitter: Callable[[], float]
    ) -> None:
        self._outbox = outbox
        self._clock = outbox.clock
        self._service = service
        self._jitter = jitter
        self._breaker = StoredBreaker(outbox, service.setup)
        self._report = Report()
        self._recorder = Recorder(outbox, self._report, listener)
        promotion_note.set_alone(outbox, alone=True)
        self._begun = promotion_note.begun(outbox)
        self._turn = threading.Lock()
        #: What the drain has listed and not read, and what it has read and not sent.
        self._unread: deque[str] = deque()
        self._queue: deque[Batch] = deque()

    def run(self, until: float | None) -> Report:
        arrivals = Arrivals(self._outbox, self._recorder.known)
        with arrivals, InFlight(self._service.in_flight) as in_flight:
            self._send(arrivals, in_flight, until)
        return self._report

    # -- the queue ----------------------------------------------------------------------

    def _send(self, arrivals: Arrivals, in_flight: InFlight, until: float | None) -> None:
        delayed: list[float] = []
        started = False
        while (batch := self._next(arrivals, in_flight)) is not None:
            stopped = in_flight.wait_below(self._limit)
            now = self._clock.now()
            if stopped:
                self._leave_all(1)
                break
            if started and until is not None and self._clock.monotonic() >= until:
                self._leave(1 + len(self._queue) + len(self._unread), due=now)
                break
            if not self._breaker.may_send(now):
                due = self._breaker.next_probe(now)
                self._leave_all(1, due=due, trouble=self._breaker.state.reason)
                break
            due = circuit_breaker.due(batch.state.not_before if batch.state else 0.0, now)
            if due > now:
                self._leave(1)
                delayed.append(due)
                continue
            started = True
            in_flight.start(partial(self._take_turn, batch))
        else:
            if not in_flight.wait_below(lambda: 1) and delayed:
                # A batch that failed in this drain may be due before those that were delayed.
                due_now = self._report.due
                self._report.due = min(delayed if due_now is None else [*delayed, due_now])
            return
        in_flight.wait_below(lambda: 1)

    def _next(self, arrivals: Arrivals, in_flight: InFlight) -> Batch | None:
        """The next batch to send, read and recovered only now; None if there is none."""
        while not self._queue:
            if not self._unread:
                if in_flight.wait_below(lambda: 1):
                    return None
                self._unread.extend(arrivals.take())
                if not self._unread:
                    return None
            self._read()
        batch = self._queue.popleft()
        if self._queue and self._report.sent:
            self._outbox.expect(self._queue[0])
        return batch

    def _read(self) -> None:
        """Read the next batches."""
        names = [self._unread.popleft() for _ in range(min(_READ_AHEAD, len(self._unread)))]
        with self._turn:
            for batch in recover(names, self._recorder, self._service.splitters, self._jitter):
                if batch.id in self._begun:
                    self._hold_begun(batch)
                else:
                    self._queue.append(batch)

    def _hold_begun(self, batch: Batch) -> None:
        """Leave a batch to a person that the shared outbox may have, and send."""
        manifest = self._recorder.read_manifest(batch)
        if manifest is None:
            return
        code = promotion_note.BEGUN
        try:
            self._recorder.record_outcome(
                batch, manifest, Decision(Action.HOLD, code), Failure(code, committed=False)
            )
        except BatchUnwritable:
            self._report.leave(DISK)

    def _leave_all(self, batches: int, *, due: float | None = None, trouble: str = "") -> None:
        """Leave these and all other batches, after each was brought into a state of rest."""
        while self._unread:
            self._read()
        self._leave(batches + len(self._queue), due=due, trouble=trouble)

    def _limit(self) -> int:
        """How many uploads may run now.

        One until a batch was sent, and one again as soon as a batch was not. So an outage or a wrong column
        costs at most what it costs a sender of single uploads, and the uploads that were already running.
        """
        with self._turn:
            return self._service.in_flight if self._breaker.healthy and self._report.sent else 1

    def _leave(self, batches: int, *, due: float | None = None, trouble: str = "") -> None:
        with self._turn:
            self._report.leave(trouble, batches)
            if due is not None:
                self._report.due = due

    def _take_turn(self, batch: Batch) -> bool:
        with self._turn:
            try:
                return self._attempt(batch)
            except BatchUnwritable as error:
                self._leave_unwritable(error.batch)
            except Overtaken:
                self._report.leave("")  # another process has it
            return False

    def _leave_unwritable(self, name: str) -> None:
        """Leave a batch whose state the disk cannot write.

        If its upload may have arrived, that counts as a doubt: a disk that fails receipt after receipt
        trips the breaker.
        """
        self._report.leave(DISK)
        state = self._outbox.get(name).state
        if state is None or state.name not in (states.READY, states.INTENT, states.RETRY):
            self._breaker.record(Decision(Action.HOLD, DISK, doubt=True))

    # -- one batch ----------------------------------------------------------------------

    def _attempt(self, batch: Batch) -> bool:
        """Send one batch. Returns True if the connector as a whole must stop for now."""
        content = self._recorder.read_content(batch)
        if content is None:
            return False
        manifest, payload = content
        self._recorder.listener("start", batch, manifest, {})
        refreshed = False
        while True:
            token = self._token()
            if token is None:
                self._report.queued += 1
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
            # A 401 is a definite no: if there is no new token, nothing is in doubt.
            batch = write_state(self._outbox, batch, name=states.RETRY, reason=decision.code)
        if decision.action is Action.DEAD and self._breaker.is_probe:
            # Batch after batch was refused, so the refusal of a probe says nothing about this batch.
            decision = Decision(Action.RETRY, decision.code)
        # The receipt first: an error of the breaker's file must not cost it.
        batch = self._recorder.record_outcome(batch, manifest, decision, outcome)
        self._breaker.record(decision)
        if decision.action is Action.SPLIT:
            for half in split(batch, self._service.splitters, self._recorder):
                if self._attempt(half):
                    return True
        return decision.action is Action.PAUSE

    def _token(self) -> str | None:
        """A token, or None with the reason in the report. No batch is touched."""
        report = self._report
        try:
            return self._service.tokens.token()
        except TokenTrouble as trouble:
            report.trouble, report.advice = trouble.code, trouble.advice
            now = self._clock.now()
            if trouble.wait:
                report.due = now + _TOKEN_WAIT
            else:
                self._breaker.record(Decision(Action.PAUSE, trouble.code))
                report.due = self._breaker.next_probe(now)
        except CredentialError as error:
            # The pause is there for people to see. The next drain reads the credential again.
            self._breaker.record(Decision(Action.PAUSE, circuit_breaker.CREDENTIAL))
            report.trouble, report.advice = circuit_breaker.CREDENTIAL, str(error)
            report.due = self._clock.now()
        return None

    def _post(self, batch: Batch, manifest: Manifest, payload: bytes, token: str) -> tuple[Batch, Outcome]:
        """One upload: INTENT durable, the body without its tail, COMMIT durable, the tail, the reply."""
        # Imported here, as it loads requests: every command imports this module.
        from irmcore.http.upload import Upload  # noqa: PLC0415

        attempts = (batch.state.attempts if batch.state else 0) + 1
        batch = write_state(
            self._outbox, batch, name=states.INTENT, attempts=attempts, reason="", not_before=0.0
        )
        current = [batch]
        end = self._clock.monotonic() + self._service.deadline

        def commit() -> None:
            seconds = end - self._clock.monotonic()
            current[0] = write_state(self._outbox, current[0], seconds=seconds, name=states.COMMIT)

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
        if isinstance(outcome, Reply):
            outcome = self._without_contents(outcome, payload, token)
        return current[0], outcome

    def _without_contents(self, reply: Reply, payload: bytes, token: str) -> Reply:
        """A reply whose text may be stored and shown. That of an accepted batch is dropped."""
        if not reply.text or (200 <= reply.status < 300 and not reply.page):
            return replace(reply, text="")
        names, values = self._service.contents(payload)
        cut = len(reply.text) >= REPLY_CHARACTERS
        text = redacted(reply.text, values, names=names, token=token, page=reply.page, cut=cut)
        return replace(reply, text=text)
