"""Requests of which several are under way at a time."""

from __future__ import annotations

import threading

import pytest
from irmcore.errors import StoreAway
from irmcore.outbox.on_store import layout
from irmcore.outbox.on_store.commit_log import CommitLog, Draft
from irmcore.store.at_once import AtOnce

from tests.fakes.clock import FakeClock
from tests.fakes.store import Fault, MemoryService, MemoryStore


@pytest.mark.parametrize("requests", [1, 8])
def test_the_results_come_in_the_order_of_the_items(requests: int) -> None:
    """However many are under way."""
    assert AtOnce(requests).each(lambda item: item * 2, range(100)) == list(range(0, 200, 2))


def test_an_error_is_raised_once_no_request_is_under_way() -> None:
    """Otherwise a value could appear after its writer has been told that nothing was accepted."""
    failed, ended = threading.Event(), list[int]()

    def do(item: int) -> None:
        if item == 0:
            failed.set()
            raise OSError("the first")
        assert failed.wait(30)
        ended.append(item)

    with pytest.raises(OSError, match="the first"):
        AtOnce(4).each(do, range(4))
    assert sorted(ended) == [1, 2, 3]


def test_batches_that_are_written_at_once_have_their_marker_first_and_their_commit_last() -> None:
    """In the order of their names, which is that of the rows."""
    service = MemoryService()
    log = CommitLog(MemoryStore(service), FakeClock(), AtOnce(8))
    drafts = [
        Draft(f"{n:064x}", {"manifest": b"m", "payload": b"p"}, {"2026-11-01": b"k"}) for n in range(30)
    ]
    names = log.accept("run", lambda _: drafts)
    assert list(names) == sorted(names)
    assert list(map(layout.id_of, names)) == [draft.id for draft in drafts]
    folders = [key.partition("/")[0] for key, _ in service.changes]
    assert folders == ["open"] + ["batch"] * 90 + ["log"]


def test_a_create_that_fails_beside_others_accepts_nothing() -> None:
    """No record of the log, and the markers say what is left."""
    service = MemoryService()

    def plan(verb: str, key: str) -> Fault | None:
        return Fault.AWAY if verb == "create" and key.endswith("payload") else None

    log = CommitLog(MemoryStore(service, plan), FakeClock(), AtOnce(8))
    drafts = [Draft(f"{n:064x}", {"payload": b"p"}, {}) for n in range(30)]
    with pytest.raises(StoreAway):
        log.accept("run", lambda _: drafts)
    assert not list(log.entries())
    assert len(list(log.open())) == 30
