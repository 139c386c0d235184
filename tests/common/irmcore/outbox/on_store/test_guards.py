"""What each guard of an outbox on a store is for: without it, a schedule shows a duplicate or a loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import pytest
from irmcore.errors import OutboxBusy, StoreAway
from irmcore.outbox.batch import Batch
from irmcore.outbox.on_store import layout, records
from irmcore.outbox.on_store.commit_log import CommitLog, Draft, View
from irmcore.outbox.on_store.replica import Replica
from irmcore.outbox.states import State
from irmcore.store import claim
from irmcore.store.numbered import Sequence as Numbers

from tests.common.irmcore.outbox.on_store.guard_trial import LEASE, LONG, SHORT, Figures, Trial
from tests.fakes.connector import notes, row
from tests.fakes.shared_outbox import DATE, SharedOutbox, Unleased, draft_of
from tests.fakes.store import LATE_CALLS, Fault, MemoryStore, Plan
from tests.fakes.transport import FakeTransport
from tests.fakes.unguarded import LOG, STATE, VOIDS

TWICE, ONCE = ["note 1", "note 1"], ["note 1"]


class Unclaimed(Unleased):
    """A replica that takes the next free number of a state if it has lost the one that it wanted."""

    def claim_state(self, batch: Batch, state: State, seconds: float) -> int:
        found = Numbers(self._store, layout.states_prefix(self._names[batch.id]), self.clock)
        number = batch.number + 1
        while not found.append(number - 1, records.encode(**state.as_record(batch.id), by="me")):
            number += 1
        return number


class Unread(CommitLog):
    """A log that commits behind whatever others have committed, without a look at it."""

    def accept(
        self, run: str, shape: Callable[[View], Sequence[Draft]], since: int | None = None
    ) -> tuple[str, ...]:
        view = self.view(since)
        names, _ = self._write(shape(view), run, view.last)
        number = view.last + 1
        value = records.encode(kind="commit", run=run, batches=names, dates={DATE: list(names)})
        while not self._decide(number, value):
            number += 1
        return names


class Unvoided(CommitLog):
    """A log that takes a commit without a known outcome for one that did not happen."""

    def _decide(self, number: int, value: bytes) -> bool:
        try:
            return claim(self._store, f"log/{0:09}/{number:012}", value, self._clock)
        except StoreAway as error:
            raise StoreAway("nothing was accepted", where=error.where, next_step=error.next_step) from None


def before_commit(do: Callable[[], object]) -> Plan:
    """A plan that does something once, before the first COMMIT is created."""
    created = [0]

    def plan(verb: str, key: str) -> None:
        if verb == "create" and key.startswith("state/"):
            created[0] += 1
            if created[0] == 2:
                do()

    return plan


@pytest.mark.parametrize(("kind", "received"), [(Unleased, ONCE), (Unclaimed, TWICE)])
def test_the_claim_of_a_state(kind: type[Replica], received: list[str]) -> None:
    """Two senders have the same batch at once, and no lease keeps them apart."""
    shared = SharedOutbox()
    shared.accept([row(1)])
    first, second = FakeTransport(), FakeTransport()
    plan = before_commit(lambda: shared.machine(kind=kind).drain(second))
    shared.machine(plan, kind=kind).drain(first)
    assert [note for file in (*first.kept, *second.kept) for note in notes(file)] == received


@pytest.mark.parametrize(("kind", "received"), [(CommitLog, ONCE), (Unread, TWICE)])
def test_the_claim_of_the_log(kind: type[CommitLog], received: list[str]) -> None:
    """Two machines accept the same row at once."""
    shared, service = SharedOutbox(), FakeTransport()
    ring = shared.member.outbox.keyring
    tried = [0]

    def shape(view: View) -> list[Draft]:
        tried[0] += 1
        if view.rowkeys(DATE).accepted:
            return []
        if tried[0] == 1:
            run("other", lambda _: [draft_of(ring, [row(1)], {DATE: b"key"})])
        return [draft_of(ring, [row(1)], {DATE: b"key"})]

    def run(name: str, how: Callable[[View], list[Draft]]) -> None:
        shared.clock.advance(1.0)
        kind(MemoryStore(shared.memory), shared.clock).accept(name, how)

    run("one", shape)
    for _ in range(2):
        shared.machine().drain(service)
    assert [note for file in service.kept for note in notes(file)] == received


@pytest.mark.parametrize(("kind", "received"), [(CommitLog, []), (Unvoided, ONCE)])
def test_the_void_record(kind: type[CommitLog], received: list[str]) -> None:
    """A run that reported that nothing was accepted is never sent, though its commit comes late."""
    shared, service = SharedOutbox(), FakeTransport()
    batch = draft_of(shared.member.outbox.keyring, [row(1)], {DATE: b"key"})

    faults = [Fault.LATE]

    def plan(verb: str, key: str) -> Fault | None:
        return faults.pop() if faults and verb == "create" and key.startswith("log/") else None

    with pytest.raises(StoreAway, match="nothing was accepted"):
        kind(MemoryStore(shared.memory, plan), shared.clock).accept("run", lambda _: [batch])
    for _ in range(LATE_CALLS):
        MemoryStore(shared.memory).get("any")
    shared.machine().drain(service)
    assert [note for file in service.kept for note in notes(file)] == received


def test_the_lease() -> None:
    """It saves work: without it, one of two senders uploads in vain. Nothing is sent twice either way."""
    uploads = {}
    for kind in (Replica, Unleased):
        shared = SharedOutbox()
        shared.accept([row(1)])
        first, second = FakeTransport(), FakeTransport()
        plan = before_commit(partial(drain_if_possible, shared, kind, second))
        shared.machine(plan, kind=kind).drain(first)
        uploads[kind] = (len(first.posts) + len(second.posts), len(first.kept) + len(second.kept))
    assert uploads == {Replica: (1, 1), Unleased: (2, 1)}


def drain_if_possible(shared: SharedOutbox, kind: type[Replica], service: FakeTransport) -> None:
    """Drain on another machine, unless a sender is at work."""
    with suppress(OutboxBusy):
        shared.machine(kind=kind).drain(service)


#: Random trials of 60 kills of which one must show what a guard is for; one in two or more does.
TRIALS, KILLS = 30, 60


def test_killed_at_random_with_all_guards() -> None:
    """Nothing is lost or repeated, and what was reported as not accepted never is."""
    found = Trial(1).run(KILLS)
    assert found.rows > KILLS // 2
    assert (found.lost, found.repeated, found.denied) == (0, 0, 0)


@pytest.mark.parametrize(
    ("guard", "shows"),
    [
        (STATE, lambda found: found.repeated),
        (LOG, lambda found: found.lost + found.repeated),
        (VOIDS, lambda found: found.denied),
    ],
    ids=[STATE, LOG, VOIDS],
)
def test_killed_at_random_without_a_guard(guard: str, shows: Callable[[Figures], int]) -> None:
    """The same trial shows a duplicate, a loss, or a run that was accepted though it reported otherwise."""
    assert any(shows(Trial(seed, guard, frozen=LONG).run(KILLS)) for seed in range(TRIALS))


@pytest.mark.faults
def test_killed_at_random_without_the_lease() -> None:
    """More uploads are begun in vain, if no process is frozen for longer than a lease."""
    saved = 0
    for seed in range(TRIALS):
        saved += Trial(seed, LEASE, frozen=SHORT).run(KILLS).in_vain
        saved -= Trial(seed, frozen=SHORT).run(KILLS).in_vain
        if saved >= 3:
            return
    pytest.fail(f"{saved} uploads saved")
