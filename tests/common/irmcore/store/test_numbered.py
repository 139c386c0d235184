from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

from irmcore.store.numbered import KEPT, Record, Sequence

from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryService, MemoryStore


def sequence() -> Sequence:
    """A sequence without records."""
    return Sequence(MemoryStore(MemoryService()), "lease/sender/", FakeClock())


def test_the_newest_record_counts() -> None:
    """Each is appended behind the one that its writer has seen."""
    records = sequence()
    assert records.newest() is None
    assert records.append(-1, b"a")
    assert records.append(0, b"b")
    assert records.newest() == Record(1, b"b")


def test_of_two_writers_that_saw_the_same_record_one_appends() -> None:
    """The number is the compare-and-set."""
    records = sequence()
    values = [f"writer {n}".encode() for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(records.append, itertools.repeat(-1), values)) == 1
    assert not records.append(-1, b"late")


def test_numbers_are_in_order_beyond_ten() -> None:
    """Keys sort by their characters, so numbers have a fixed width."""
    records = sequence()
    for n in range(12):
        records.append(n - 1, b"%d" % n)
    assert records.newest() == Record(11, b"11")


def test_pruning_leaves_the_newest_hundred() -> None:
    """And the next number is still free."""
    records = sequence()
    for n in range(KEPT + 20):
        records.append(n - 1, b"%d" % n)
    records.prune()
    assert records.numbers() == list(range(20, KEPT + 20))
    assert records.append(KEPT + 19, b"next")
