from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from irmcore.errors import StoreAway
from irmcore.outbox.on_store import layout
from irmcore.outbox.on_store.commit_log import CommitLog, Draft
from irmcore.outbox.on_store.row_index import COMPACT_AT, RowIndex, Span
from irmcore.store import MAX_VALUE_BYTES

from tests.fakes.clock import FakeClock
from tests.fakes.powerloss import Killed
from tests.fakes.store import Fault, MemoryService, MemoryStore

DAY = "2026-11-01"


def index_of(service: MemoryService, **options: Any) -> RowIndex:
    """The index on that service."""
    return RowIndex(MemoryStore(service, **options), FakeClock())


def add(service: MemoryService, number: int, *values: bytes) -> None:
    """Enter what a record of the log has."""
    index = index_of(service)
    index.add(DAY, number, values)
    index.move_mark(number)
    index.compact(DAY, number)


def test_many_small_values_become_few() -> None:
    """In the order of the log, and no value is left that another one contains."""
    service = MemoryService()
    for number in range(50):
        add(service, number, b"%d " % number)
    assert b"".join(index_of(service).rowkeys(DAY, 49)).split() == [b"%d" % n for n in range(50)]
    assert len([key for key in service.values if key.startswith("days/")]) < COMPACT_AT


def test_no_value_is_larger_than_a_store_takes() -> None:
    """What a record has of a date is cut, and full values are left alone."""
    service = MemoryService()
    large = bytes(MAX_VALUE_BYTES // 2 + 1)
    for number in range(10):
        add(service, number, large, b"x", large)
    found = index_of(service).rowkeys(DAY, 9)
    assert max(map(len, found)) <= MAX_VALUE_BYTES
    assert sum(map(len, found)) == 10 * (2 * len(large) + 1)


@pytest.mark.parametrize("fault", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER, Fault.LOST], ids=lambda f: f.name)
def test_a_compaction_that_is_killed_changes_nothing_for_a_reader(fault: Fault) -> None:
    """At any call; the next one removes what it left."""
    at = 0
    while True:
        service = MemoryService()
        for number in range(COMPACT_AT - 1):
            add(service, number, b"%d " % number)
        index_of(service).add(DAY, COMPACT_AT - 1, [b"last"])
        calls = 0

        def plan(verb: str, key: str, at: int = at) -> Fault | None:
            nonlocal calls
            calls += 1
            return fault if calls - 1 == at else None

        with suppress(Killed, StoreAway):
            index_of(service, plan=plan).compact(DAY, COMPACT_AT - 1)
        wanted = b"".join(b"%d " % n for n in range(COMPACT_AT - 1)) + b"last"
        assert b"".join(index_of(service).rowkeys(DAY, COMPACT_AT - 1)) == wanted
        index_of(service).compact(DAY, COMPACT_AT - 1)
        assert len([key for key in service.values if key.startswith("days/")]) == 1
        if calls <= at:
            return
        at += 1


def test_a_reader_goes_on_while_values_are_merged() -> None:
    """It has listed values that are gone when it reads them, and its mark is behind the merged one."""
    service = MemoryService()
    for number in range(COMPACT_AT - 1):
        add(service, number, b"%d " % number)

    def merge(verb: str, key: str) -> None:
        if verb == "get" and key.startswith("days/") and not merged:
            merged.append(key)
            add(service, COMPACT_AT - 1, b"last")

    merged: list[str] = []
    found = index_of(service, plan=merge).rowkeys(DAY, COMPACT_AT - 2)
    assert b"".join(found) == b"".join(b"%d " % n for n in range(COMPACT_AT - 1)) + b"last"


def test_a_key_says_which_records_a_value_has() -> None:
    """And sorts by the first of them."""
    span = Span((7, 0), (12, 3))
    assert Span.of(span.key(DAY)) == span
    assert Span((7, 0), (7, 0)).key(DAY) < Span((8, 0), (8, 0)).key(DAY)


def test_old_dates_are_forgotten() -> None:
    """Only those before the date that no new record has rows of, whatever the others have."""
    service = MemoryService()
    index = index_of(service)
    for number, day in enumerate(("2025-12-31", "2026-01-01", "2026-01-02")):
        index.add(day, number, [b"x"])
        index.add(day, 0, [b"y"])
        MemoryStore(service).create(layout.withdrawn_key(day, "batch"), b"x")
    before = set(service.values)
    assert index.forget("2026-01-02", lambda number: number < 1) == {"2026-01-01"}
    assert {key.split("/")[1] for key in before - set(service.values)} == {"2025-12-31"}
    assert index.forget("2026-01-02", lambda _: True) == set()
    assert {key.split("/")[1] for key in service.values} == {"2026-01-02"}


class CountingStore(MemoryStore):
    """Counts the calls, the keys and the bytes that were read."""

    calls = keys_read = bytes_read = 0

    def get(self, key: str) -> bytes | None:
        found = super().get(key)
        self.calls, self.bytes_read = self.calls + 1, self.bytes_read + len(found or b"")
        return found

    def keys(self, prefix: str, after: str = "") -> Any:
        self.calls += 1
        for key in super().keys(prefix, after):
            self.keys_read += 1
            yield key


def reads_of_a_cold_start(days: int) -> tuple[int, int, int]:
    """What a new process reads to shape rows of the newest date, when so many dates are kept."""
    service, clock = MemoryService(), FakeClock()
    log = CommitLog(MemoryStore(service), clock)
    for number in range(days):
        for _ in range(4):
            date = f"2026-{number // 28:03}-{number % 28:02}"
            draft = Draft("0" * 64, {"manifest": b"m", "payload": b"p"}, {date: b"rowkeys "})
            log.accept(f"run{number}", lambda _, draft=draft: [draft])  # type: ignore[misc]
            log.index(8)
    for key in [key for key in service.values if key.startswith("open/")]:
        MemoryStore(service).delete(key)
    store = CountingStore(service)
    assert len(b"".join(CommitLog(store, clock).view().rowkeys(date).accepted).split()) == 4
    return store.calls, store.keys_read, store.bytes_read


def test_a_cold_start_reads_no_more_with_400_days_than_with_one() -> None:
    """At most half as much again, in calls, listed keys and bytes; all of a page of keys costs one call."""
    few, many = reads_of_a_cold_start(2), reads_of_a_cold_start(400)
    assert many[0] <= 1.5 * few[0] + 8  # the tail of the log is of up to eight records
    assert many[1] <= 1_000 + 200  # a folder of the log and the marks: a page each
    assert many[2] <= 1.5 * few[2] + 2_000
