"""The lease of an outbox's sender, for machines whose clocks may differ by five minutes."""

from __future__ import annotations

import pytest
from irmcore.errors import StoreAway
from irmcore.outbox.on_store.lease import MARGIN, RENEWED_AT, SECONDS, Lease
from irmcore.store.numbered import KEPT

from tests.fakes.clock import FakeClock
from tests.fakes.store import Fault, MemoryService, MemoryStore, Plan, no_fault


def lease(service: MemoryService, clock: FakeClock, plan: Plan = no_fault) -> Lease:
    """The lease as a process on a machine with that clock has it."""
    return Lease(MemoryStore(service, plan), clock)


def test_one_process_has_it_at_a_time() -> None:
    """Until it is returned, or until it ends by itself."""
    service, clock = MemoryService(), FakeClock()
    first, second = lease(service, clock), lease(service, clock)
    assert first.acquire() is first
    assert second.acquire() is None
    first.release()
    first.release()
    assert second.acquire() is second
    clock.advance(SECONDS - 1)
    assert first.acquire() is None
    clock.advance(1)
    assert first.acquire() is first


def test_of_two_that_acquire_it_at_once_one_has_it() -> None:
    """The other one lost the race for its record."""
    service, clock = MemoryService(), FakeClock()
    other = lease(service, clock)

    def plan(verb: str, _: str) -> None:
        if verb == "create" and not service.values:
            assert other.acquire() is other

    assert lease(service, clock, plan).acquire() is None


def test_it_is_renewed_when_it_ends_soon() -> None:
    """Not before, which would cost a request each time."""
    service, clock = MemoryService(), FakeClock()
    mine = lease(service, clock)
    mine.acquire()
    mine.renew()
    assert len(service.values) == 1
    clock.advance(SECONDS - RENEWED_AT + 1)
    mine.renew()
    assert len(service.values) == 2
    clock.advance(SECONDS - 1)
    assert lease(service, clock).acquire() is None


def test_one_that_was_lost_is_neither_renewed_nor_returned() -> None:
    """Its next holder keeps it."""
    service, clock = MemoryService(), FakeClock()
    late, other = lease(service, clock), lease(service, clock)
    late.acquire()
    clock.advance(SECONDS + 1)
    other.acquire()
    late.renew()
    late.release()
    assert lease(service, clock).acquire() is None


def test_a_store_that_is_away_does_not_stop_its_holder() -> None:
    """Renewing and returning it saves work only."""
    service, clock = MemoryService(), FakeClock()
    faults: list[Fault | None] = [None]
    mine = lease(service, clock, lambda *_: faults[0])
    mine.acquire()
    faults[0] = Fault.AWAY
    clock.advance(SECONDS - 1)
    mine.renew()
    mine.release()
    with pytest.raises(StoreAway):
        mine.acquire()


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.LOST])
def test_its_holder_does_not_wait_for_a_lease_that_it_could_not_return(fault: Fault) -> None:
    """Others wait until it ends. With LOST, the renewal before was made, but its answer did not come."""
    service, clock = MemoryService(), FakeClock()
    faults: list[Fault | None] = [None]
    mine, other = lease(service, clock, lambda *_: faults[0]), lease(service, clock)
    mine.acquire()
    clock.advance(SECONDS - RENEWED_AT + 1)
    faults[0] = fault
    mine.renew()
    mine.release()
    faults[0] = None
    assert other.acquire() is None
    assert mine.acquire() is mine
    assert mine.acquire() is None, "it has it already"
    mine.release()
    assert other.acquire() is other


@pytest.mark.parametrize(("ahead", "seen"), [(-MARGIN, True), (0.0, True), (MARGIN, False)])
def test_a_clock_that_differs_by_five_minutes(ahead: float, seen: bool) -> None:  # noqa: FBT001 - a column
    """One behind respects the lease; one ahead takes it early, which the states of batches allow for."""
    service, clock = MemoryService(), FakeClock()
    lease(service, clock).acquire()
    assert (lease(service, FakeClock(clock.now() + ahead)).acquire() is None) is seen


@pytest.mark.parametrize("behind", [0.0, MARGIN])
def test_the_lease_of_a_dead_holder_ends_for_all(behind: float) -> None:
    """At the latest when their clocks reach its end. So a queued batch waits no longer for it."""
    service, clock = MemoryService(), FakeClock()
    lease(service, clock).acquire()
    late = FakeClock(clock.now() - behind)
    late.advance(SECONDS + behind - 1)
    assert lease(service, late).acquire() is None
    late.advance(1)
    other = lease(service, late)
    assert other.acquire() is other


def test_whether_its_holder_takes_in_what_is_accepted() -> None:
    """Only while it says so, and only while it has the lease."""
    service, clock = MemoryService(), FakeClock()
    mine, other = lease(service, clock), lease(service, clock)
    assert not other.is_taken_in()
    mine.acquire()
    assert not other.is_taken_in()
    taking = mine.take_in()
    assert other.is_taken_in()
    clock.advance(SECONDS - RENEWED_AT + 1)
    mine.renew()
    assert other.is_taken_in()
    taking.release()
    assert not other.is_taken_in()
    assert other.acquire() is None, "it is still the sender"
    mine.take_in()
    clock.advance(SECONDS + 1)
    assert not other.is_taken_in()


def test_a_sender_says_at_once_that_it_takes_in_what_is_accepted() -> None:
    """In the record with which it takes the lease. One that only works on batches does not."""
    service, clock = MemoryService(), FakeClock()
    mine, other = lease(service, clock), lease(service, clock)
    mine.acquire(takes_in=True)
    assert other.is_taken_in()
    taking = mine.take_in()
    assert len(service.values) == 1
    taking.release()
    mine.release()
    other.acquire()
    assert not mine.is_taken_in()


def test_its_records_say_which_line_of_the_audit_log_was_the_last() -> None:
    """As its holder knew; a process that has no lease reads it too."""
    service, clock = MemoryService(), FakeClock()
    assert lease(service, clock).last_event == 0
    mine, other = lease(service, clock), lease(service, clock)
    mine.acquire()
    mine.note_event(7)
    mine.release()
    assert lease(service, clock).last_event == 7
    other.acquire()
    other.release()
    assert lease(service, clock).last_event == 7


def test_old_records_are_removed() -> None:
    """However often it is taken."""
    service, clock = MemoryService(), FakeClock()
    for _ in range(2 * KEPT):
        mine = lease(service, clock)
        assert mine.acquire() is mine
        mine.release()
    assert len(service.values) <= 2 * KEPT
