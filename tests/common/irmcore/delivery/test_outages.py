"""Outages on a fake clock, of a week or with a day of doubt: the queue is kept, the service not flooded."""

from __future__ import annotations

import pytest
from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker
from irmcore.delivery.circuit_breaker import CircuitBreaker
from irmcore.http.outcome import Failure, Outcome, Reply

from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, notes, row
from tests.fakes.powerloss import PowerLossDisk
from tests.fakes.transport import FakeTransport

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def queue(batches: int, *, in_doubt: str = "hold") -> tuple[Connector, FakeClock]:
    """A connector with this many batches of one row."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    clock = FakeClock()
    connector = Connector(disk, clock, rows=1, in_doubt=in_doubt)
    connector.accept(row(number) for number in range(batches))
    return connector, clock


def drained(connector: Connector, clock: FakeClock, service: FakeTransport, seconds: float) -> None:
    """Drain as the sender does: when something is due, at least every ten minutes."""
    end = clock.now() + seconds
    while clock.now() < end:
        due = connector.drain(service).due
        wait = 600.0 if due is None else min(max(due - clock.now(), 1.0), 600.0)
        clock.advance(wait)


@pytest.mark.parametrize(
    "failing",
    [
        Reply(500),
        Reply(503),
        Reply(429),
        Reply(408),
        *(Failure(kind, committed=False) for kind in ("dns", "refused", "tls", "proxy", "reset")),
    ],
    ids=lambda outcome: getattr(outcome, "kind", None) or str(outcome.status),
)
@pytest.mark.parametrize("batches", [3, pytest.param(40, marks=pytest.mark.faults)])
def test_a_week_of_failures(failing: Outcome, batches: int) -> None:
    """A service that is down for a week is called about once an hour, then each row is sent once."""
    connector, clock = queue(batches)
    service = FakeTransport(then=failing)
    drained(connector, clock, service, 7 * DAY)
    assert 100 < len(service.posts) < 7 * 24 + 30
    assert load_breaker(connector.outbox)[0].mode == circuit_breaker.CLOSED, "nobody is needed"
    back = FakeTransport()
    drained(connector, clock, back, 3 * HOUR)
    assert sorted(note for file in back.kept for note in notes(file)) == sorted(
        f"note {number}" for number in range(batches)
    )
    assert len(back.posts) == batches
    assert set(connector.states().values()) == {"done SENT"}


def test_a_week_of_failures_with_a_long_queue() -> None:
    """The same with more batches than there are attempts in a week."""
    test_a_week_of_failures(Reply(500), 60)


def test_a_poisoned_batch_does_not_hold_the_others_back() -> None:
    """A batch that the service fails on for days does not delay the others."""
    connector, clock = queue(1)
    (poisoned,) = connector.outbox.ready()

    class Poisoned(FakeTransport):
        def post(self, upload, commit):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            self._then = Reply(500) if upload.file_name[10:26] == poisoned.id[:16] else Reply(200)
            return super().post(upload, commit)

    service = Poisoned()
    for number in range(1, 40):
        connector.accept([row(number)])
        connector.drain(service)
        clock.advance(MINUTE)
    kept = [note for file in service.kept for note in notes(file)]
    assert kept == [f"note {number}" for number in range(1, 40)]


@pytest.mark.parametrize(
    "lost", [Failure("reset", committed=True), Failure("timeout", committed=True), Reply(504)]
)
@pytest.mark.parametrize("hours", [1, 24])
def test_hours_in_which_every_reply_is_lost(lost: Outcome, hours: int) -> None:
    """Two batches are held at first, then one per probe, finally one an hour, and not the whole queue."""
    connector, clock = queue(100)
    service = FakeTransport(then=lost)
    connector.drain(service)
    assert len(service.posts) == 2
    drained(connector, clock, service, hours * HOUR)
    held = [state for state in connector.states().values() if state == "ready HELD"]
    assert len(held) == len(service.posts) <= 2 + 4 + hours
    assert load_breaker(connector.outbox)[0].mode == circuit_breaker.TRIPPED
    back = FakeTransport()
    clock.advance(HOUR)
    drained(connector, clock, back, HOUR)
    assert len(back.posts) == 100 - len(held)
    assert load_breaker(connector.outbox)[0] == CircuitBreaker(setup="setup")


@pytest.mark.parametrize("kind", ["dns", "refused", "tls", "reset"])
def test_an_outage_of_the_line_holds_nothing(kind: str) -> None:
    """Without a connection, or if it breaks before the last bytes, no batch is held."""
    connector, clock = queue(20)
    drained(connector, clock, FakeTransport(then=Failure(kind, committed=False)), 12 * HOUR)
    assert set(connector.states().values()) <= {"ready READY", "ready RETRY"}


def test_resend_repeats_at_most_once_an_hour() -> None:
    """With `resend`, an outage of hours repeats single batches and not the queue."""
    connector, clock = queue(50, in_doubt="resend")
    service = FakeTransport(then=Failure("reset", committed=True))
    drained(connector, clock, service, 12 * HOUR)
    assert len(service.posts) <= 2 + 4 + 12


def test_what_is_due_next_is_what_failed_last() -> None:
    """The report names the earliest time at which any batch is due."""
    connector, clock = queue(1)
    assert connector.drain(FakeTransport(Reply(500, wait=HOUR))).due == clock.now() + HOUR
    connector.accept([row(1)])
    report = connector.drain(FakeTransport(Reply(500, wait=MINUTE)))
    assert (report.queued, report.due) == (2, clock.now() + MINUTE)


def test_a_pause_at_the_last_batch_is_not_due_with_another() -> None:
    """A connector that has just paused is due at its probe, not when a delayed batch is."""
    connector, clock = queue(1)
    connector.drain(FakeTransport(Reply(500, wait=HOUR)))
    clock.advance(1.0)
    connector.accept([row(1)])
    report = connector.drain(FakeTransport(Reply(403)))
    assert (report.queued, report.due) == (2, None)
    assert load_breaker(connector.outbox)[0].mode == circuit_breaker.PAUSED
