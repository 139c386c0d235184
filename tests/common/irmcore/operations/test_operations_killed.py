"""An operation by a person that is killed at any disk call and repeated takes effect once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import pytest
from irmcore.errors import OperatorError, OutboxBusy
from irmcore.http.outcome import Failure, Outcome, Reply
from irmcore.operations import operations, retention
from irmcore.operations.connectors import Connectors
from irmcore.outbox import Batch
from irmcore.outbox.transitions import quarantine

from tests.common.irmcore.outbox.outboxes import left, pass_days
from tests.fakes.clock import FakeClock
from tests.fakes.connector import ROOT, Connector, notes, row
from tests.fakes.powerloss import Killed, PowerLossDisk
from tests.fakes.transport import FakeTransport

LINES = [row(0), row(1)]

Operation = Callable[[Connectors, Connector], None]


def the_batch(connector: Connector) -> Batch:
    """The one batch, in whatever folder; the latest, if one was withdrawn before."""
    return next(connector.outbox.all_batches())


def resolve(outcome: str) -> Operation:
    """`irmexport resolve BATCH --OUTCOME`."""

    def operation(connectors: Connectors, connector: Connector) -> None:
        operations.resolve(connector.outbox, the_batch(connector).id, outcome, who="me", why="so")

    return operation


def requeue(connectors: Connectors, connector: Connector) -> None:
    """`irmexport requeue BATCH`."""
    operations.requeue(connector.outbox, the_batch(connector).id, who="me", why="so")


def resume(connectors: Connectors, connector: Connector) -> None:
    """`irmexport resume`."""
    operations.resume(connector.outbox, who="me")


def clean_up(connectors: Connectors, connector: Connector) -> None:
    """`irmexport clean-up`, after the retention times have passed."""
    retention.clean_up(connectors.outboxes())


class Case(NamedTuple):
    """An operation on a batch that got ``answer``, and how often its rows are sent and new afterwards."""

    answer: Outcome
    operation: Operation
    uploads: int
    new: bool
    quarantined: bool = False
    days: float = 0.0


LOST = Failure("reset", committed=True)
AGAIN = Reply(503, wait=0.0)
CASES = {
    "resolve --sent": Case(LOST, resolve("sent"), 0, new=False),
    "resolve --resend": Case(LOST, resolve("resend"), 1, new=False),
    "resolve --withdraw, held": Case(LOST, resolve("withdraw"), 1, new=True),
    "resolve --withdraw, dead": Case(Reply(400), resolve("withdraw"), 1, new=True),
    "resolve --withdraw, queued": Case(AGAIN, resolve("withdraw"), 1, new=True),
    "resolve --withdraw, quarantined": Case(AGAIN, resolve("withdraw"), 1, new=True, quarantined=True),
    "requeue, dead": Case(Reply(400), requeue, 1, new=False),
    "requeue, quarantined": Case(AGAIN, requeue, 1, new=False, quarantined=True),
    "resume, paused": Case(Reply(403), resume, 1, new=False),
    "resume, waiting": Case(Reply(503, wait=3600.0), resume, 1, new=False),
    "clean-up, payloads": Case(Reply(200), clean_up, 0, new=False, days=8.0),
    "clean-up, records": Case(Reply(200), clean_up, 0, new=False, days=401.0),
}


def prepared(case: Case) -> tuple[PowerLossDisk, FakeClock]:
    """A durable outbox with the case's batch before the operation."""
    disk = PowerLossDisk()
    disk.make_dir(ROOT)
    clock = FakeClock()
    connector = Connector(disk, clock)
    connector.accept(LINES)
    connector.drain(FakeTransport(case.answer))
    if case.quarantined:
        quarantine(connector.outbox, the_batch(connector))
    pass_days(connector.outbox, case.days)
    return disk.synced(), clock


def outcome(case: Case, disk: PowerLossDisk, clock: FakeClock) -> tuple[int, int]:
    """Repeat the operation and then a day's work: how often the rows were sent, and how many were new."""
    connector = Connector(disk, clock)
    with suppress(OperatorError):  # it was complete the first time
        case.operation(Connectors(disk, clock, ROOT), connector)
    service = FakeTransport()
    connector.drain(service)
    shaped = connector.accept(LINES).counts.shaped
    connector.drain(service)
    assert left(connector.outbox) == []
    return sum("note 0" in notes(file) for file in service.kept), shaped


@pytest.mark.parametrize("name", CASES)
def test_an_operation_killed_at_any_step(name: str) -> None:
    """An operation that is killed at any disk call, with or without a power loss, can be repeated."""
    case = CASES[name]
    expected = (case.uploads, 2 if case.new else 0)
    before, clock = prepared(case)
    number = 0
    while True:
        number += 1
        disk = before.fork()
        disk.kill_at = number
        try:
            case.operation(Connectors(disk, clock, ROOT), Connector(disk, clock))
        except Killed:
            for after in [disk.fork(), *disk.after_power_loss(8, seed=number)]:
                assert outcome(case, after, clock) == expected, number
        else:
            break
    assert number > 1, "the act does something"
    for after in [disk.fork(), *disk.after_power_loss(8, seed=0)]:
        found = outcome(case, after, clock)
        if name == "clean-up, records":
            continue  # what is left of the record is not part of the promise
        assert found == expected


def test_only_one_operation_at_a_time() -> None:
    """While a sender works, a person's operation is refused and changes nothing."""
    case = CASES["resolve --resend"]
    disk, clock = prepared(case)
    connector = Connector(disk, clock)
    lock = connector.outbox.sender_lock()
    assert lock is not None
    connectors = disk.operations
    for other in CASES.values():
        with pytest.raises(OutboxBusy, match=r"a sender is working"):
            other.operation(Connectors(disk, clock, ROOT), connector)
    assert disk.operations == connectors
