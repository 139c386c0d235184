"""A person's unsent rows are erased on a store; nobody else's are lost or sent twice, whatever fails."""

from __future__ import annotations

from contextlib import suppress

import pytest
from irmcore.delivery.circuit_breaker import LAST_PROBE
from irmcore.errors import Overtaken, StoreAway, StoreRefused
from irmcore.http.outcome import Failure
from irmcore.operations import operations
from irmcore.operations.person import AUDIT, erase, find, pattern
from irmcore.outbox import audit_log, states
from irmcore.outbox.on_store import layout
from irmcore.outbox.transitions import write_state
from irmcore.shaping.batches import halves

from tests.fakes.connector import Connector, notes, row
from tests.fakes.powerloss import Killed
from tests.fakes.shared_outbox import SharedOutbox
from tests.fakes.store import Fault, MemoryStore
from tests.fakes.transport import FakeTransport

WHO = pattern(["user1@contoso.com"])
SPLITTERS = {"text/csv": halves}


def made() -> SharedOutbox:
    """Two batches: of the person and another one, and of the person alone."""
    shared = SharedOutbox(rows=2)
    shared.accept([row(1), row(2)])
    shared.accept([row(1, day=21)])
    return shared


def erased(machine: Connector) -> int:
    """Erase the person's rows; returns how many were not sent."""
    assert machine.outbox.exists()
    return erase(machine.outbox, WHO, SPLITTERS, by="me", why="request 7").unsent


def names_the_person(shared: SharedOutbox) -> list[str]:
    """The keys of values that name the person."""
    return [key for key, value in shared.memory.values.items() if b"user1@" in value]


def sent(shared: SharedOutbox) -> list[str]:
    """What is sent now, by another machine."""
    service = FakeTransport()
    shared.clock.advance(LAST_PROBE)
    shared.machine().drain(service)
    return [note for file in service.kept for note in notes(file)]


def test_the_others_rows_are_sent_once() -> None:
    """No value of the store names the person, and the row keys still count as accepted."""
    shared = made()
    before = shared.log.view().rowkeys("2026-11-20")
    assert erased(shared.machine()) == 2
    assert names_the_person(shared) == []
    assert sent(shared) == ["note 2"]
    assert sent(shared) == []
    assert shared.log.view().rowkeys("2026-11-20") == before
    other = shared.machine().outbox
    assert other.exists()
    assert list(audit_log.verify(other)) == []
    assert [found for found in find(other, WHO) if found.kind != AUDIT] == []


@pytest.mark.parametrize("state", [states.PROPOSED, states.RETRY, states.HELD, states.DEAD])
def test_the_state_of_the_others_rows_stays(state: str) -> None:
    """As it was, for every machine."""
    shared = made()
    one = shared.machine().outbox
    assert one.exists()
    first = one.ready()[0]
    write_state(one, first, name=state, reason="a-reason")
    erased(shared.machine())
    other = shared.machine().outbox
    assert other.exists()
    (batch,) = other.ready()
    assert batch.state is not None
    assert (batch.state.name, batch.state.reason) == (state, "a-reason")
    assert batch.id != first.id


def test_a_rest_that_is_withdrawn_may_be_accepted_again() -> None:
    """As a batch may; the erased rows still count."""
    shared = made()
    erased(shared.machine())
    one = shared.machine().outbox
    assert one.exists()
    (rest,) = one.ready()
    operations.resolve(one, rest.id, "withdraw", who="me", why="so")
    assert len(shared.log.view().rowkeys("2026-11-20").withdrawn) == 1


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
def test_an_erasure_goes_on_after_a_fault_at_any_change(fault: Fault) -> None:
    """Nothing of an erasure that was killed is sent twice; run again, it erases the rest."""
    start, at = made(), 0
    while True:
        shared, calls = start.fork(), [0]

        def plan(verb: str, key: str, at: int = at, calls: list[int] = calls) -> Fault | None:
            calls[0] += verb in ("create", "delete")
            return fault if verb in ("create", "delete") and calls[0] - 1 == at else None

        with suppress(Killed, StoreAway, StoreRefused, Overtaken):
            erased(shared.machine(plan))
        shared.clock.advance(LAST_PROBE)
        tried = shared.fork()
        rows = sent(tried)
        assert (rows.count("note 1") <= 2, rows.count("note 2")) == (True, 1)
        erased(shared.machine())
        assert names_the_person(shared) == []
        assert sent(shared) == ["note 2"]
        if calls[0] <= at:
            return
        at += 1


def test_a_sender_that_froze_before_the_erasure_sends_only_the_rest() -> None:
    """Its COMMIT would have to be the state that the erasure has claimed."""
    shared, service = made(), FakeTransport()
    done: list[int] = []

    def plan(verb: str, key: str) -> None:
        if verb == "create" and key.startswith("state/") and key.endswith("2") and not done:
            shared.clock.advance(LAST_PROBE)
            done.append(erased(shared.machine()))

    shared.machine(plan).drain(service)
    assert done == [2]
    assert [note for file in service.kept for note in notes(file)] == ["note 2"], (
        "the rest, accepted meanwhile"
    )
    assert sent(shared) == []


def test_what_a_killed_erasure_has_prepared_is_removed_with_the_batch() -> None:
    """It is never sent, and the daily clean-up removes it once the batch has ended."""
    shared = made()

    def plan(verb: str, key: str) -> Fault | None:
        return Fault.KILLED_BEFORE if verb == "create" and key.startswith("state/") else None

    with suppress(Killed):
        erased(shared.machine(plan))
    assert len(shared.open()) == 3
    shared.clock.advance(LAST_PROBE)
    one = shared.machine().outbox
    assert one.exists()
    one.discard_runs(shared.clock.now())
    assert len(shared.open()) == 3, "the erasure may go on"
    assert sorted(sent(shared)) == ["note 1", "note 1", "note 2"]
    one = shared.machine().outbox
    assert one.exists()
    one.discard_runs(shared.clock.now())
    assert shared.open() == []
    names = {key.split("/")[1] for key in MemoryStore(shared.memory).keys("batch/")}
    assert len({layout.id_of(name) for name in names}) == 2


def test_a_lost_reply_and_an_erasure() -> None:
    """What is in doubt stays so, without the person's rows."""
    shared = made()
    shared.machine().drain(FakeTransport(Failure("timeout", committed=True)))
    erased(shared.machine())
    one = shared.machine().outbox
    assert one.exists()
    assert [batch.state.name for batch in one.ready() if batch.state] == [states.HELD]
    assert names_the_person(shared) == []
