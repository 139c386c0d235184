"""Any number of producers, senders and clean-ups on one store, with a crash or a fault at any call."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from irmcore.delivery.circuit_breaker import LAST_PROBE
from irmcore.errors import OutboxBusy, StoreAway, StoreRefused
from irmcore.http.outcome import Failure, Outcome, Reply
from irmcore.http.upload import Upload
from irmcore.outbox import states
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.on_store import records
from irmcore.outbox.on_store.attempts import MARGIN
from irmcore.outbox.on_store.commit_log import COMMIT, CommitLog, Draft, View
from irmcore.outbox.on_store.replica import Replica
from irmcore.store import Store

from tests.fakes.actors import Actor
from tests.fakes.clock import FakeClock
from tests.fakes.connector import notes
from tests.fakes.powerloss import Killed
from tests.fakes.shared_outbox import SharedOutbox, Unleased, draft_of, machine
from tests.fakes.store import Fault, MemoryService, MemoryStore, no_fault

UPLOAD_SECONDS = 100.0
#: How an actor may end.
EXPECTED = (OutboxBusy, StoreAway, StoreRefused, Killed)
RING = Keyring("0" * 32, (b"s" * 32,))
#: The rows of a world.
ROWS = [f"row{n}" for n in range(6)]


def date_of(row: str) -> str:
    """The date of a row."""
    return f"2026-11-{int(row[3:]) % 2 + 1:02}"


class Service:
    """Where batches are posted. What happens to a post is decided as for a call of the store."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.doubts = 0

    def transport(self, actor: Actor | None) -> Posts:
        """What a sender of ``actor`` posts through."""
        return Posts(self, actor)


class Posts:
    """An irmcore.http.upload.Transport."""

    def __init__(self, service: Service, actor: Actor | None) -> None:
        self._service, self._actor = service, actor

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
        """Commit, and then whatever the test decides."""
        commit()
        fault = self._actor.pause() if self._actor else None
        if fault in (None, Fault.LOST, Fault.KILLED_AFTER):
            self._service.received.update(notes(upload.content.read()))
        self._service.doubts += fault is not None
        if fault in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER):
            raise Killed
        return Reply(200) if fault is None else Failure("timeout", committed=True)


def produce(store: Store, clock: FakeClock, run: str, rows: list[str]) -> tuple[str, ...]:
    """A run with these rows: those that are new, two in a batch."""

    def shape(view: View) -> list[Draft]:
        accepted = {
            row
            for date in set(map(date_of, rows))
            for value in view.rowkeys(date).accepted
            for row in value.decode().split()
        }
        new = [row for row in rows if row not in accepted]
        return [draft(new[at : at + 2]) for at in range(0, len(new), 2)]

    return CommitLog(store, clock).accept(run, shape)


def draft(rows: list[str]) -> Draft:
    """A batch of these rows."""
    dates = set(map(date_of, rows))
    keys = {date: "".join(f"{row} " for row in rows if date_of(row) == date).encode() for date in dates}
    return draft_of(RING, [f"u@contoso.com,2026-11-20T08:00:00Z,1,{row}" for row in rows], keys)


def send(
    store: Store,
    clock: FakeClock,
    service: Service,
    actor: Actor | None = None,
    kind: type[Replica] = Replica,
) -> None:
    """Send every batch that may be sent."""
    found = machine(store, clock, kind=kind)
    if found.outbox.exists():  # a store that lags may not show it yet
        found.drain(service.transport(actor))


class Outbox(RuleBasedStateMachine):
    """The world: one store, one service, and actors in any state."""

    #: Makes an empty store.
    new_memory: Callable[[], MemoryService] = MemoryService

    @initialize(rows=st.lists(st.sampled_from(ROWS), unique=True))
    def begin(self, rows: list[str]) -> None:
        shared = SharedOutbox(ring=RING)
        self.memory, self.service, self.clock = self.new_memory(), Service(), shared.clock
        for key, value in shared.memory.values.items():
            self.memory.change(key, value)
        self.actors: list[Actor] = []
        self.runs: dict[str, tuple[Actor, list[str]]] = {}
        produce(self.memory.client(no_fault), self.clock, "first", rows)

    def _start(self, body: Any, lag: int) -> Actor:
        actor = Actor(self.memory, body, lag)
        self.actors.append(actor)
        return actor

    @rule(
        rows=st.lists(st.sampled_from(ROWS), min_size=1, unique=True),
        lag=st.sampled_from([0, 0, 3]),
    )
    def producer(self, rows: list[str], lag: int) -> None:
        run = secrets.token_hex(4)
        actor = self._start(lambda store, _: produce(store, self.clock, run, rows), lag)
        self.runs[run] = (actor, rows)

    @rule(lag=st.sampled_from([0, 0, 3]), kind=st.sampled_from([Replica, Unleased]))
    def sender(self, lag: int, kind: type[Replica]) -> None:
        self._start(lambda store, actor: send(store, self.clock, self.service, actor, kind), lag)

    @rule()
    def indexer(self) -> None:
        self._start(lambda store, _: CommitLog(store, self.clock).index(), 0)

    @rule(which=st.integers(0, 20))
    def collector(self, which: int) -> None:
        runs = list(self.runs)
        if runs:
            run = runs[which % len(runs)]
            self._start(lambda store, _: CommitLog(store, self.clock).discard(run), 0)

    # Names of batches are random, and so is their order: what is drawn must not depend on it.
    @rule(which=st.integers(0, 20), calls=st.integers(1, 15))
    def go_on(self, which: int, calls: int) -> None:
        self._step(which, calls, None)

    @rule(which=st.integers(0, 20), calls=st.integers(0, 15), fault=st.sampled_from(Fault))
    def fail(self, which: int, calls: int, fault: Fault) -> None:
        self._step(which, calls, fault)

    @rule(which=st.integers(0, 20), prefix=st.sampled_from(["log/", "state/"]), fault=st.sampled_from(Fault))
    def fail_at_a_claim(self, which: int, prefix: str, fault: Fault) -> None:
        active = [actor for actor in self.actors if not actor.done]
        if active:
            actor = active[which % len(active)]
            while not actor.done and not (
                actor.next_call[0] == "create" and actor.next_call[1].startswith(prefix)
            ):
                actor.step()
            actor.step(fault)

    @rule(which=st.integers(0, 20))
    def discard_before_a_commit(self, which: int) -> None:
        """A run sleeps just before it commits, and is taken for dead."""
        asleep = [(run, actor) for run, (actor, _) in self.runs.items() if not actor.done]
        if asleep:
            run, actor = asleep[which % len(asleep)]
            while not actor.done and (actor.next_call[0], actor.next_call[1][:4]) != ("create", "log/"):
                actor.step()
            if not actor.done:
                CommitLog(self.memory.client(no_fault), self.clock).discard(run)

    def _step(self, which: int, calls: int, fault: Fault | None) -> None:
        active = [actor for actor in self.actors if not actor.done]
        if active:
            actor = active[which % len(active)]
            for _ in range(calls):
                actor.step()
            actor.step(fault)

    @rule(seconds=st.sampled_from([1.0, UPLOAD_SECONDS, UPLOAD_SECONDS + MARGIN + 1]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def teardown(self) -> None:
        if not hasattr(self, "memory"):
            return
        for actor in self.actors:
            while not actor.done:
                actor.step()
            if isinstance(actor.outcome, BaseException) and not isinstance(actor.outcome, EXPECTED):
                raise actor.outcome
        store = self.memory.client(no_fault)
        # Nothing that happened stops a later run: whatever rows are missing are accepted now.
        produce(store, self.clock, "last", ROWS)
        for _ in range(8):
            self.clock.advance(LAST_PROBE)  # whatever the circuit breaker says, it lets a probe through
            send(store, self.clock, self.service)
        check(store, self)


def check(store: MemoryStore, world: Outbox) -> None:
    """What must hold when everything has ended and what can be sent was sent."""
    log = CommitLog(store, world.clock)
    commits = [entry for entry in log.entries() if entry.kind == COMMIT]
    by_run = {entry.run: entry for entry in commits}
    accepted = {name: rows_of(store, name) for entry in commits for name in entry.batches}
    count = Counter(row for rows in accepted.values() for row in rows)
    assert not count or max(count.values()) == 1, "a row was accepted twice"
    for run, (actor, rows) in world.runs.items():
        if isinstance(actor.outcome, tuple):
            assert set(rows) <= set(count), "a row of an acknowledged run was lost"
            assert not actor.outcome or by_run[run].batches == actor.outcome
        elif "nothing was accepted" in str(actor.outcome):
            assert run not in by_run, "a run that was not accepted is accepted"
    assert all(n == 1 for n in world.service.received.values()), "a row was received twice"
    held = 0
    for name, rows in accepted.items():
        history = [records.decode(store.get(key) or b"") for key in store.keys(f"state/{name}/")]
        check_history(history)
        last = history[-1]["name"]
        assert last in (states.SENT, states.HELD), f"a batch ended as {last}"
        held += last == states.HELD
        if last == states.SENT:
            assert all(world.service.received[row] == 1 for row in rows), "a receipt without its rows"
    assert set(world.service.received) <= set(count), "a row was sent that was not accepted"
    world.held = held


def rows_of(store: MemoryStore, name: str) -> list[str]:
    """The rows of an accepted batch."""
    payload = store.get(f"batch/{name}/payload")
    assert payload is not None, "an accepted batch has lost its payload"
    return notes(payload)


def check_history(history: list[Any]) -> None:
    """The states of one batch, oldest first."""
    for before, record in zip(history, history[1:]):
        if record["name"] == states.COMMIT:
            assert (before["name"], before["by"]) == (states.INTENT, record["by"])
        if before["name"] in (states.SENT, states.HELD):
            assert record["name"] == states.SENT, "sending went on after a receipt or a doubt"
        if before["name"] == states.COMMIT:
            assert record["name"] == states.HELD or record["by"] == before["by"]


def run_model(examples: int, new_memory: Callable[[], MemoryService] = MemoryService) -> None:
    """Try so many worlds, each with a store of its own."""

    class World(Outbox):
        """A world with such a store."""

    World.new_memory = staticmethod(new_memory)
    chosen = settings(
        max_examples=examples,
        phases=(Phase.generate, Phase.shrink),
        stateful_step_count=40,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(World, settings=chosen)


def test_nothing_is_lost_and_nothing_sent_twice() -> None:
    """Whatever fails, and in whichever order the calls of all processes come."""
    run_model(80)


@pytest.mark.faults
@pytest.mark.timeout(1_200)
def test_nothing_is_lost_and_nothing_sent_twice_in_many_worlds() -> None:
    """The same for more of them."""
    run_model(2_000)
