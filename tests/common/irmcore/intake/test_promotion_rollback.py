"""Promotion into a store that takes back what it acknowledged: rows stay on their machine, or are there."""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import pytest
from irmcore.errors import KeyMissing, StoreAway
from irmcore.outbox.on_store.replica import Replica
from irmcore.outbox.on_store.shared import SharedOutbox

from tests.common.irmcore.intake.test_promotion import ANNA, BEN, CARL, NEXT_DAY, Member, rows_there, users
from tests.fakes.connector import Connector
from tests.fakes.store import Fault, MemoryService, MemoryStore, Plan, no_fault
from tests.fakes.transport import FakeTransport


class Unsure(Member):
    """A machine that knows that the store may roll back."""

    def shared_with(self, plan: Plan) -> SharedOutbox:
        store = MemoryStore(self.service, plan)
        return SharedOutbox(store, self.clock, "kvstore/demo", rolls_back=True)

    def try_to_promote(self) -> None:
        """Promote as a new process, which may find that the store was rolled back."""
        self.shared = self.shared_with(no_fault)
        with suppress(StoreAway, KeyMissing):
            self.promote()

    def sender(self) -> Connector:
        """A sender with a copy of its own."""
        outbox = Replica(MemoryStore(self.service), self.clock, "kvstore/demo", at_once=1, rolls_back=True)
        found = Connector(outbox.disk, self.clock)
        found.outbox = outbox
        return found


class _Rollback:
    """The plan of a store that takes back its newest ``changes`` before call ``at`` of a promotion."""

    def __init__(self, service: MemoryService, at: int, changes: int) -> None:
        self.service, self.at, self.changes = service, at, changes
        self.calls = 0
        #: Whether the machine had its batch PROMOTED by then.
        self.too_late = False
        self.machine: Member | None = None

    def __call__(self, _verb: str, _key: str) -> Fault | None:
        if self.machine is not None:
            self.calls += 1
            if self.calls == self.at:
                self.too_late = not self.machine.outbox.count_ready()
                self.service.roll_back(min(self.changes, len(self.service.changes)))
        return None


@pytest.mark.parametrize("another_before", [False, True])
@pytest.mark.parametrize("changes", [1, 2, 3, 5, 8, 1_000])
def test_a_rollback_during_a_promotion_loses_no_row_of_it(changes: int, another_before: bool) -> None:  # noqa: FBT001
    """At any call until its batch is PROMOTED: the next tries promote everything, on whichever machine."""
    for at in count(1):
        service = MemoryService()
        plan = _Rollback(service, at, changes)
        one, two = Unsure(service, "one", plan), Unsure(service, "two")
        if another_before:
            Unsure(service, "three").send(CARL)
        one.accept(ANNA)
        two.accept(BEN + NEXT_DAY)
        plan.machine = one
        with suppress(StoreAway, KeyMissing):
            one.promote()
        assert plan.calls >= at, "the rollback was never too late"
        if plan.too_late:
            return
        for member in (two, one, two, one):
            member.try_to_promote()
        assert (one.outbox.count_ready(), two.outbox.count_ready()) == (0, 0), at
        # What another machine has promoted before may be gone: that was read back, and is PROMOTED there.
        assert sorted(set(users(rows_there(one))) - {"carl"}) == ["anna", "ben", "dora"], at


def test_a_promotion_that_succeeds_while_everything_is_rolled_back_is_sent() -> None:
    """At any call until its batch is PROMOTED, though no other machine comes: nothing is missing there."""
    for at in count(1):
        service, transport = MemoryService(), FakeTransport()
        plan = _Rollback(service, at, 1_000)
        one = Unsure(service, "one", plan)
        one.accept(ANNA)
        plan.machine = one
        with suppress(StoreAway, KeyMissing):
            one.promote()
        assert plan.calls >= at, "the rollback was never too late"
        if plan.too_late:
            return
        one.try_to_promote()
        report = one.sender().drain(transport)
        assert (report.sent, report.quarantined, one.outbox.count_ready()) == (1, 0, 0), at


def test_a_sender_takes_no_batch_under_a_new_key_for_damaged() -> None:
    """The key that it read was taken back, and made anew under the same number. A new copy sends."""
    service, transport = MemoryService(), FakeTransport()
    one, two = Unsure(service, "one"), Unsure(service, "two")
    one.send(ANNA)
    old = one.sender()
    assert old.drain(transport).sent == 1
    service.roll_back(len(service.changes))
    two.send(BEN)
    with pytest.raises(StoreAway, match="taken back the key of this outbox"):
        old.drain(transport)
    report = two.sender().drain(transport)
    assert (report.sent, report.quarantined) == (1, 0)
    assert not [key for key in service.values if key.startswith("quarantine/")]


def test_a_key_that_was_taken_back_altogether_is_no_key() -> None:
    """A sender that has read it sends nothing with it."""
    service, transport = MemoryService(), FakeTransport()
    one = Unsure(service, "one")
    one.send(ANNA)
    sender = one.sender()
    assert sender.outbox.exists()
    service.roll_back(len(service.changes))
    with pytest.raises(StoreAway, match="The next try reads the outbox anew"):
        sender.drain(transport)
    assert not transport.kept
