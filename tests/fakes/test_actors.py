from __future__ import annotations

from irmcore.errors import StoreAway

from tests.fakes.actors import Actor
from tests.fakes.powerloss import Killed
from tests.fakes.store import Fault, MemoryService, MemoryStore


def write_two(store: MemoryStore, actor: Actor) -> str:
    """Two calls."""
    store.create("a", b"x")
    store.create("b", b"x")
    return "done"


def test_an_actor_stops_before_each_call() -> None:
    """It runs as far as the test lets it."""
    service = MemoryService()
    actor = Actor(service, write_two, 0)
    assert service.values == {}
    assert actor.next_call == ("create", "a")
    actor.step()
    assert list(service.values) == ["a"]
    actor.step()
    assert (actor.done, actor.outcome) == (True, "done")
    actor.step()


def test_an_actor_meets_the_fault_of_its_turn() -> None:
    """A crash ends it, and so does an error that it does not catch."""
    service = MemoryService()
    killed, away = Actor(service, write_two, 0), Actor(service, write_two, 0)
    killed.step(Fault.KILLED_AFTER)
    assert isinstance(killed.outcome, Killed)
    assert list(service.values) == ["a"]
    away.step(Fault.AWAY)
    assert isinstance(away.outcome, StoreAway)
    assert away.done
