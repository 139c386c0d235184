"""The fault matrix of docs/delivery.md on a store: each call of each operation meets each fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from irmcore.delivery.circuit_breaker import LAST_PROBE
from irmcore.errors import IrmError
from irmcore.http.outcome import Failure, Outcome, Reply
from irmcore.operations import operations, release, retention
from irmcore.outbox import audit_log

from tests.fakes.connector import Connector, notes, row
from tests.fakes.powerloss import Killed
from tests.fakes.shared_outbox import SharedOutbox
from tests.fakes.store import Fault, Plan
from tests.fakes.transport import FakeTransport

ROWS = ("note 1", "note 2")
TIMEOUT = Failure("timeout", committed=True)
Act = Callable[[Connector, FakeTransport], object]


def each(act: Callable[[Connector, str], object]) -> Act:
    """``act`` on every batch that is queued."""

    def all_of_them(machine: Connector, _: FakeTransport) -> None:
        for batch in machine.outbox.ready():
            act(machine, batch.id)

    return all_of_them


def drain(machine: Connector, service: FakeTransport) -> None:
    """Send what is queued."""
    machine.drain(service)


def resolve(outcome: str) -> Act:
    """Resolve every doubt."""
    return each(lambda machine, name: operations.resolve(machine.outbox, name, outcome, who="me", why="so"))


def clean_up(machine: Connector, _: FakeTransport) -> None:
    """Delete what is past its time."""
    retention.clean_up([machine.outbox])


def resume(machine: Connector, _: FakeTransport) -> None:
    """Close the circuit breaker."""
    operations.resume(machine.outbox, who="me", why="so")


def requeue(machine: Connector, name: str) -> None:
    """Put a batch back into the queue."""
    operations.requeue(machine.outbox, name, who="me", why="so")


#: What happens before, the operation, and which rows the service must have at last, however often.
CASES: dict[str, tuple[list[Outcome], Act, tuple[str, ...]]] = {
    "drain": ([], drain, ROWS),
    "drain after 503": ([Reply(503), Reply(503)], drain, ROWS),
    "split": ([], drain, ROWS),
    "resolve sent": ([TIMEOUT, TIMEOUT], resolve("sent"), ROWS),
    "resolve withdraw": ([Reply(400), Reply(400)], resolve("withdraw"), ()),
    "requeue": (
        [Reply(400), Reply(400)],
        each(requeue),
        ROWS,
    ),
    "release": ([], each(lambda m, n: release.release(m.outbox, n, who="anna", why="so")), ROWS),
    "resume": ([Reply(403)], resume, ROWS),
    "clean up": ([Reply(200), Reply(200)], clean_up, ROWS),
}


def prepared(case: str) -> tuple[SharedOutbox, list[str]]:
    """The store before an operation, and what the service has kept by then."""
    before, _, _ = CASES[case]
    shared = SharedOutbox(rows=2 if case == "split" else 1)
    shared.accept([row(1), row(2)], first="PROPOSED" if case == "release" else "")
    service = FakeTransport(*before, then=Reply(200))
    if before:
        shared.machine().drain(service)
    return shared, kept(service)


def kept(service: FakeTransport) -> list[str]:
    """The notes of the rows that the service kept."""
    return [note for file in service.kept for note in notes(file)]


def faults(shared: SharedOutbox, case: str, fault: Fault) -> Iterator[tuple[SharedOutbox, list[str], int]]:
    """The store and what the service got, after the nth call of the operation met a fault, for each n."""
    number = 0
    reached = True
    while reached:
        number += 1
        calls = [0]

        def plan(verb: str, key: str, number: int = number, calls: list[int] = calls) -> Fault | None:
            calls[0] += 1
            return fault if calls[0] == number else None

        service = FakeTransport(*([Reply(413)] if case == "split" else []))
        after = shared.fork()
        attempt(after, case, plan, service)
        reached = calls[0] >= number
        yield after, kept(service), number


def attempt(shared: SharedOutbox, case: str, plan: Plan, service: FakeTransport) -> None:
    """Do the operation once, whatever becomes of it."""
    with suppress(IrmError, Killed):
        CASES[case][1](shared.machine(plan), service)


def finish(shared: SharedOutbox, case: str) -> list[str]:
    """What people do next: the same again, and drains until nothing is left to send; what the service got."""
    service = FakeTransport()
    for _ in range(3):
        shared.clock.advance(LAST_PROBE)
        with suppress(IrmError):
            CASES[case][1](shared.machine(), service)
        shared.machine().drain(service)
    return kept(service)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("case", CASES)
def test_a_fault_at_any_call(case: str, fault: Fault, record_property: Any) -> None:
    """Nothing is lost and nothing sent twice; what is in doubt is held; the audit log is one chain."""
    shared, before = prepared(case)
    expected = CASES[case][2]
    held = tried = 0
    for after, during, number in faults(shared, case, fault):
        sent = Counter([*before, *during, *finish(after, case)])
        assert max(sent.values(), default=0) <= 1, (number, sent)
        machine = after.machine()
        machine.outbox.check()
        waits = list(machine.notes("HELD"))
        assert set(expected) <= {*sent, *waits}, (number, sent, waits)
        assert list(audit_log.verify(machine.outbox)) == [], number
        held += len(waits)
        tried = number
    assert tried > 5
    record_property("calls", tried)
    record_property("held", held)
