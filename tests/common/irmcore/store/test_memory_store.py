from __future__ import annotations

import pytest
from irmcore.errors import StoreAway, StoreRefused

from tests.common.irmcore.store.contract import StoreContract
from tests.fakes.clock import FakeClock
from tests.fakes.powerloss import Killed
from tests.fakes.store import LATE_CALLS, Fault, MemoryService, MemoryStore, Plan


class TestMemoryStore(StoreContract):
    """The fake passes what the real ones pass."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore(MemoryService())


def always(fault: Fault) -> Plan:
    """Each call meets this fault."""

    def plan(verb: str, key: str) -> Fault:
        return fault

    return plan


FAULTS = {
    Fault.AWAY: (StoreAway, None),
    Fault.LOST: (StoreAway, b"x"),
    Fault.LATE: (StoreAway, None),
    Fault.REFUSED: (StoreRefused, None),
    Fault.KILLED_BEFORE: (Killed, None),
    Fault.KILLED_AFTER: (Killed, b"x"),
}


@pytest.mark.parametrize("fault", Fault)
def test_a_create_that_fails_has_happened_or_not(fault: Fault) -> None:
    """As the fault says, and its caller gets the error that it says."""
    service = MemoryService()
    error, value = FAULTS[fault]
    with pytest.raises(error):
        MemoryStore(service, always(fault)).create("a", b"x")
    assert MemoryStore(service).get("a") == value


@pytest.mark.parametrize("verb", ["create", "get", "keys", "delete"])
def test_every_verb_can_fail(verb: str) -> None:
    """The plan is asked before each call, with the verb and its key or prefix."""
    store = MemoryStore(MemoryService(), lambda v, key: Fault.AWAY if (v, key) == (verb, "a") else None)
    calls = {
        "create": lambda: store.create("a", b"x"),
        "get": lambda: store.get("a"),
        "keys": lambda: list(store.keys("a/")),
        "delete": lambda: store.delete("a"),
    }
    if verb == "keys":
        store.plan = lambda v, key: Fault.AWAY if (v, key) == ("keys", "a/") else None
    with pytest.raises(StoreAway):
        calls[verb]()


def test_a_late_create_happens_unless_another_came_first() -> None:
    """Some calls later, and it overwrites nothing."""
    service = MemoryService()
    late = MemoryStore(service, always(Fault.LATE))
    for key in ("a", "b"):
        with pytest.raises(StoreAway):
            late.create(key, b"late")
    store = MemoryStore(service)
    store.create("b", b"first")
    assert store.get("a") is None
    for _ in range(LATE_CALLS):
        store.get("c")
    assert (store.get("a"), store.get("b")) == (b"late", b"first")


def test_a_lagging_client_reads_in_order() -> None:
    """It catches up by one change with each read, and never sees the later without the earlier."""
    service = MemoryService()
    writer, reader = MemoryStore(service), MemoryStore(service, lag=3)
    for n in range(5):
        writer.create(f"k/{n}", b"x")
    assert list(reader.keys("k/"))[:2] == ["k/0", "k/1"]
    seen = [reader.get("k/4") is not None for _ in range(4)]
    assert seen[-1]
    assert not reader.create("k/4", b"y")


def test_a_rollback_forgets_what_was_acknowledged() -> None:
    """The newest changes, deletions too."""
    service = MemoryService()
    store = MemoryStore(service)
    store.create("a", b"x")
    store.create("b", b"x")
    store.delete("a")
    service.roll_back(2)
    assert list(store.keys("")) == ["a"]


def test_a_slow_store_takes_its_time() -> None:
    """Each call takes so many seconds of its clock."""
    clock = FakeClock()
    MemoryStore(MemoryService(), clock=clock, seconds=7).get("a")
    assert clock.monotonic() == 7
