"""The queue of faults: order, counts, endpoints and threads."""

from __future__ import annotations

from threading import Thread

import pytest
from irmemulator.fault_queue import Faults
from irmemulator.faults import Fault


def statuses(faults: Faults, on: str, requests: int) -> list[int | None]:
    """The statuses of the faults that this many requests take."""
    taken = [faults.take(on) for _ in range(requests)]
    return [None if fault is None else fault.status for fault in taken]


def test_faults_are_taken_in_order() -> None:
    """Faults spoil the next requests of their endpoint, in order, and no more."""
    faults = Faults()
    faults.next(Fault(status=500), 2)
    faults.next(Fault(on="token", status=429))
    faults.next(Fault(status=503))
    assert statuses(faults, "upload", 5) == [500, 500, 503, None, None]
    assert statuses(faults, "token", 2) == [429, None]
    assert (faults.pending, faults.taken) == ((), 4)


def test_a_lasting_fault_waits_behind_the_others() -> None:
    """A fault until cleared spoils the requests that the counted faults leave."""
    faults = Faults()
    faults.until_cleared(Fault(status=500))
    faults.next(Fault(status=429))
    assert statuses(faults, "upload", 3) == [429, 500, 500]
    faults.until_cleared(Fault(status=502))
    assert statuses(faults, "upload", 1) == [502]
    assert [(pending.fault.status, pending.count) for pending in faults.pending] == [(502, None)]


def test_faults_are_cleared() -> None:
    """Clearing removes the faults of one endpoint, or all."""
    faults = Faults()
    for fault in (Fault(status=500), Fault(on="token", status=500)):
        faults.next(fault)
        faults.until_cleared(fault)
    faults.clear("upload")
    assert {pending.fault.on for pending in faults.pending} == {"token"}
    faults.clear()
    assert faults.pending == ()


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_is_at_least_one(count: int) -> None:
    """A fault that would spoil no request is refused."""
    with pytest.raises(ValueError, match="at least 1"):
        Faults().next(Fault(status=500), count)


def test_threads_share_no_fault() -> None:
    """Each counted fault spoils exactly one request, also when many come at once."""
    faults = Faults()
    taken: list[Fault | None] = []
    faults.next(Fault(status=500), 500)
    workers = [
        Thread(target=lambda: taken.extend(faults.take("upload") for _ in range(200))) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(fault is not None for fault in taken) == 500


def test_a_fault_waits_for_a_request_that_it_matches() -> None:
    """A fault with a pattern spoils only requests in which the pattern is found."""
    faults = Faults()
    faults.next(Fault(status=500, matching="jobid=5"))
    faults.until_cleared(Fault(status=503, matching="jobid=6"))
    taken = [faults.take("upload", query) for query in ("jobid=4", "jobid=5", "jobid=5", "jobid=6")]
    assert [fault and fault.status for fault in taken] == [None, 500, None, 503]
    assert faults.taken == 2


def test_an_endpoint_is_one_of_the_services() -> None:
    """A fault on an endpoint that does not exist would wait for ever, so it is refused."""
    faults = Faults(("query", "token"))
    for add in (faults.next, faults.until_cleared):
        with pytest.raises(ValueError, match="on must be one of query, token"):
            add(Fault(on="upload", status=500))
    assert faults.pending == ()
