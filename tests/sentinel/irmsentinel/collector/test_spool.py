"""A collector's cursor in an outbox on a store."""

from __future__ import annotations

from irmcore.clock import SystemClock
from irmcore.outbox.on_store.replica import Replica
from irmcore.outbox.on_store.shared import SharedOutbox
from irmsentinel.collector import cursor

from tests.fakes.store import MemoryService, MemoryStore


def test_a_cursor_with_many_blobs_fits_into_a_value_and_names_the_newest() -> None:
    """A value of a store has 1 MiB. The other blobs are fetched again, and their records are skipped."""
    store, clock = MemoryStore(MemoryService()), SystemClock()
    SharedOutbox(store, clock, "memory/collector").create()
    contents = {cursor.digest(str(number)): 1_700_000_000 + number for number in range(40_000)}
    writer = Replica(store, clock, "memory/collector", at_once=1)
    cursor.load(writer)
    cursor.store(writer, cursor.Cursor(collected=1_700_050_000, contents=contents))
    found = cursor.load(Replica(store, clock, "memory/collector", at_once=1))
    assert found.collected == 1_700_050_000
    assert min(found.contents.values()) == 1_700_025_000
    assert len(found.contents) == 15_000
