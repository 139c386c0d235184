from __future__ import annotations

import pytest
from irmcore.errors import StoreAway, StoreRefused
from irmcore.store.claim import READABLE_SECONDS, claim

from tests.fakes.clock import FakeClock
from tests.fakes.store import Fault, MemoryService, MemoryStore, Plan


def first_create(fault: Fault) -> Plan:
    """The first create meets the fault, and nothing else does."""
    left = [fault]

    def plan(verb: str, key: str) -> Fault | None:
        return left.pop() if verb == "create" and left else None

    return plan


def test_a_lost_answer_is_ones_own_success() -> None:
    """The create happened, its answer was lost: the value that is read back is one's own."""
    store = MemoryStore(MemoryService(), first_create(Fault.LOST))
    assert claim(store, "a", b"mine", FakeClock())


def test_a_lost_answer_of_the_loser_is_no_success() -> None:
    """Another value was there first."""
    service = MemoryService()
    MemoryStore(service).create("a", b"other")
    assert not claim(MemoryStore(service, first_create(Fault.LOST)), "a", b"mine", FakeClock())


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.LATE])
def test_an_unknown_outcome_is_an_error(fault: Fault) -> None:
    """The value may still appear, so neither True nor False would be right."""
    with pytest.raises(StoreAway):
        claim(MemoryStore(MemoryService(), first_create(fault)), "a", b"mine", FakeClock())


def test_an_unknown_outcome_is_decided_by_another_claim() -> None:
    """Of a late value and the one that closes its key, one wins, and the claim says which."""
    service = MemoryService()
    store = MemoryStore(service, first_create(Fault.LATE))
    with pytest.raises(StoreAway):
        claim(store, "a", b"mine", FakeClock())
    assert claim(store, "a", b"void", FakeClock())
    for _ in range(20):
        assert store.get("a") == b"void"


def test_a_refusal_changes_nothing() -> None:
    """It is passed on, and nothing is read back."""
    service = MemoryService()
    with pytest.raises(StoreRefused):
        claim(MemoryStore(service, first_create(Fault.REFUSED)), "a", b"mine", FakeClock())
    assert service.calls == 1


def test_a_value_that_lags_is_waited_for() -> None:
    """The key exists, so its value can be read soon."""
    service = MemoryService()
    for n in range(5):
        MemoryStore(service).create(f"k/{n}", b"other")
    clock = FakeClock()
    assert not claim(MemoryStore(service, lag=4), "k/4", b"mine", clock)
    assert 0 < clock.monotonic() < READABLE_SECONDS


def test_a_value_that_never_becomes_readable_is_an_error() -> None:
    """After a minute, in words that say what to do."""

    class Blind(MemoryStore):
        def get(self, key: str) -> bytes | None:
            return None

    service = MemoryService()
    MemoryStore(service).create("a", b"other")
    clock = FakeClock()
    with pytest.raises(StoreAway, match="could not be read for 60 seconds"):
        claim(Blind(service), "a", b"mine", clock)
    assert clock.monotonic() >= READABLE_SECONDS
