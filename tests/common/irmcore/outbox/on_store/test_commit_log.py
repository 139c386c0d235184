from __future__ import annotations

from typing import Callable

import pytest
from irmcore.errors import StoreAway
from irmcore.outbox import states
from irmcore.outbox.on_store import layout, records
from irmcore.outbox.on_store.commit_log import COMMIT, DISCARD, VOID, CommitLog, Draft, View, attempt_of

from tests.fakes.clock import FakeClock
from tests.fakes.store import Fault, MemoryService, MemoryStore

DAY, NEXT_DAY = "2026-11-01", "2026-11-02"


def log_of(service: MemoryService) -> CommitLog:
    """The log of an outbox on that service."""
    return CommitLog(MemoryStore(service), FakeClock())


def always(*drafts: Draft) -> Callable[[View], list[Draft]]:
    """A run whose rows nobody else has."""

    def shape(view: View) -> list[Draft]:
        return list(drafts)

    return shape


def draft(rows: bytes, date: str = DAY) -> Draft:
    """A batch with rows of one date."""
    return Draft("0" * 64, {"payload": rows}, {date: rows})


def test_an_accepted_run_is_one_record_of_the_log() -> None:
    """With its batches and their dates; its parts are there, and each batch is open."""
    service = MemoryService()
    names = log_of(service).accept("run", always(draft(b"1"), draft(b"2", NEXT_DAY)))
    (entry,) = log_of(service).entries()
    assert (entry.kind, entry.run, entry.batches, entry.dates) == (
        COMMIT,
        "run",
        names,
        {DAY: [names[0]], NEXT_DAY: [names[1]]},
    )
    assert [name for name, _ in log_of(service).open()] == sorted(names)
    assert service.values[f"batch/{names[1]}/payload"] == b"2"


def test_a_run_without_new_rows_writes_nothing() -> None:
    """Neither a batch nor a record."""
    service = MemoryService()
    assert log_of(service).accept("run", always()) == ()
    assert service.values == {}


def test_rows_of_another_run_are_known_before_and_after_they_are_indexed() -> None:
    """From the log, or from the index, and not twice."""
    service = MemoryService()
    log_of(service).accept("one", always(draft(b"1"), draft(b"2", NEXT_DAY)))
    seen: list[list[bytes]] = []

    def look(view: View) -> list[Draft]:
        seen.append(view.rowkeys(DAY).accepted)
        return []

    log_of(service).accept("two", look)
    log_of(service).index()
    log_of(service).index()
    log_of(service).accept("three", look)
    assert seen == [[b"1"], [b"1"]]


@pytest.mark.parametrize(("date", "shaped"), [(DAY, 2), (NEXT_DAY, 1)])
def test_a_run_that_comes_second_shapes_its_rows_anew(date: str, shaped: int) -> None:
    """If the first has rows of the same dates; otherwise its batches stay as they are. No orphan is left."""
    service = MemoryService()
    seen: list[list[bytes]] = []

    def shape(view: View) -> list[Draft]:
        seen.append(view.rowkeys(DAY).accepted)
        if len(seen) == 1:
            log_of(service).accept("first", always(draft(b"1", date)))
        return [draft(b"2")]

    names = log_of(service).accept("second", shape)
    assert len(seen) == shaped
    assert [entry.run for entry in log_of(service).entries()] == ["first", "second"]
    assert len([key for key in service.values if key.startswith("open/")]) == 2
    assert service.values[f"batch/{names[0]}/payload"] == b"2"


@pytest.mark.parametrize(
    ("fault", "accepted", "kinds"),
    [(Fault.LOST, True, [COMMIT]), (Fault.AWAY, False, [VOID]), (Fault.LATE, False, [VOID])],
)
def test_a_commit_without_an_answer_is_decided(fault: Fault, accepted: bool, kinds: list[str]) -> None:  # noqa: FBT001 - a column of the table
    """By reading it back, or by a void record that a late commit can no longer overtake."""
    service = MemoryService()
    left = [fault]
    store = MemoryStore(
        service,
        lambda verb, key: left.pop() if key.startswith("log/") and verb == "create" and left else None,
    )
    log = CommitLog(store, FakeClock())
    if accepted:
        assert log.accept("run", always(draft(b"1")))
    else:
        with pytest.raises(StoreAway, match="nothing was accepted"):
            log.accept("run", always(draft(b"1")))
    for _ in range(20):
        store.get("later")
    assert [entry.kind for entry in log_of(service).entries()] == kinds


def test_a_discarded_run_stays_out() -> None:
    """A run that was suspended while it was discarded is refused, and its batches are gone."""
    service = MemoryService()

    def discard_before_commit(verb: str, key: str) -> None:
        if (verb, key[:4]) == ("create", "log/") and not discarded:
            discarded.append(log_of(service).discard("slow"))

    discarded: list[bool] = []
    with pytest.raises(StoreAway, match="discarded while it was suspended"):
        CommitLog(MemoryStore(service, discard_before_commit), FakeClock()).accept(
            "slow", always(draft(b"1"))
        )
    assert discarded == [True]
    assert not log_of(service).discard("slow")
    assert [entry.kind for entry in log_of(service).entries()] == [DISCARD]
    assert not [key for key in service.values if key.startswith(("open/", "batch/"))]


def test_a_discarded_run_stays_out_when_the_index_has_overtaken_its_discard() -> None:
    """The run had to shape its rows anew, and the mark of the index is behind the discard by then."""
    service = MemoryService()

    def another_run_first(verb: str, key: str) -> None:
        if (verb, key[:4]) == ("create", "log/") and not done:
            done.append(key)
            log_of(service).accept("other", always(draft(b"2")))
            log_of(service).discard("slow")
            log_of(service).index()

    done: list[str] = []
    with pytest.raises(StoreAway, match="discarded while it was suspended"):
        CommitLog(MemoryStore(service, another_run_first), FakeClock()).accept("slow", always(draft(b"1")))
    assert [entry.kind for entry in log_of(service).entries()] == [COMMIT, DISCARD]


def test_an_accepted_run_is_not_discarded() -> None:
    """Its batches stay."""
    service = MemoryService()
    (name,) = log_of(service).accept("run", always(draft(b"1")))
    assert not log_of(service).discard("run")
    assert f"batch/{name}/payload" in service.values


def test_numbers_go_on_beyond_a_thousand() -> None:
    """In order, across the folders of the log."""
    service = MemoryService()
    for n in range(1_002):
        assert log_of(service)._decide(n, b'{"v":1,"kind":"void","nonce":"%d"}' % n)  # noqa: SLF001 - quicker than runs
    assert [entry.number for entry in log_of(service).entries(998)] == [999, 1_000, 1_001]


def test_a_try_that_was_taken_for_dead_counts_once() -> None:
    """Whether its commit is found before the next try begins, or only when that one claims a number."""
    service = MemoryService()
    first = attempt_of("run")
    names = log_of(service).accept(first, always(draft(b"1")))
    assert log_of(service).accept(attempt_of("run"), always(draft(b"2")), since=-1) == names

    def dead_one_first(verb: str, key: str) -> None:
        if (verb, key[:4]) == ("create", "log/") and not late:
            late.append(log_of(service).accept(attempt_of("late"), always(draft(b"3", NEXT_DAY))))

    late: list[tuple[str, ...]] = []
    log = CommitLog(MemoryStore(service, dead_one_first), FakeClock())
    assert log.accept(attempt_of("late"), always(draft(b"4")), since=0) == late[0]
    assert len([key for key in service.values if key.startswith("open/")]) == 2


def test_a_new_run_is_not_taken_for_a_try_of_another() -> None:
    """Runs differ in what is before the dot."""
    service = MemoryService()
    log_of(service).accept(attempt_of("one"), always(draft(b"1")))
    assert log_of(service).accept(attempt_of("two"), always(draft(b"2")), since=-1)
    assert len(list(log_of(service).entries())) == 2


def test_row_keys_of_a_withdrawn_batch_are_told_apart() -> None:
    """Only if its newest state says so, and only to somebody who reads the date from its beginning."""
    service = MemoryService()
    log = log_of(service)
    (name,) = log.accept("run", always(draft(b"1")))
    store = MemoryStore(service)
    store.create(layout.withdrawn_key(DAY, name), b"mark")
    assert log.view().rowkeys(DAY).withdrawn == []
    store.create(f"{layout.states_prefix(name)}000000000000", records.encode(name=states.WITHDRAWN))
    assert log.view().rowkeys(DAY) == ([b"1"], [b"1"])
    assert log.view().rowkeys(DAY, 0) == ([], [])
