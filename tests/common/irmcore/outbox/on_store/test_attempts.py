from __future__ import annotations

import pytest
from irmcore.outbox import states
from irmcore.outbox.on_store import records
from irmcore.outbox.on_store.attempts import MARGIN, Attempt, Attempts
from irmcore.outbox.on_store.commit_log import CommitLog, Draft, View

from tests.fakes.clock import FakeClock
from tests.fakes.store import Fault, MemoryService, MemoryStore, Plan, no_fault


class Rig:
    """An outbox with one accepted batch."""

    def __init__(self) -> None:
        self.service, self.clock = MemoryService(), FakeClock()
        drafts = [Draft("0" * 64, {"payload": b"x"}, {"2026-11-01": b"k"})]

        def shape(view: View) -> list[Draft]:
            return drafts

        (self.batch,) = self.log().accept("run", shape)

    def log(self, plan: Plan = no_fault) -> CommitLog:
        return CommitLog(MemoryStore(self.service, plan), self.clock)

    def attempts(self, plan: Plan = no_fault) -> Attempts:
        return Attempts(MemoryStore(self.service, plan), self.log(plan), self.clock)

    def start(self, plan: Plan = no_fault) -> Attempt | None:
        sender = self.attempts(plan)
        return next((sender.start(*found) for found in sender.accepted()), None)

    def states(self) -> list[str]:
        keys = MemoryStore(self.service).keys(f"state/{self.batch}/")
        return [records.decode(self.service.values[key])["state"] for key in keys]


@pytest.fixture
def rig() -> Rig:
    """The outbox."""
    return Rig()


def started(rig: Rig, plan: Plan = no_fault) -> Attempt:
    """An attempt that has begun."""
    attempt = rig.start(plan)
    assert attempt is not None
    return attempt


def test_a_batch_is_sent_once(rig: Rig) -> None:
    """INTENT, COMMIT, SENT; afterwards it is no longer open."""
    attempt = started(rig)
    assert attempt.commit(100)
    attempt.sent(status=200)
    assert rig.states() == [states.INTENT, states.COMMIT, states.SENT]
    assert list(rig.attempts().accepted()) == []
    assert not [key for key in rig.service.values if key.startswith("open/")]


def test_a_batch_that_is_not_accepted_is_not_sent(rig: Rig) -> None:
    """Its marker alone means nothing."""
    store = MemoryStore(rig.service)
    store.create("open/orphan", records.encode(run="other", after=-1))
    assert [name for name, _ in rig.attempts().accepted()] == [rig.batch]


def test_of_two_senders_one_commits(rig: Rig) -> None:
    """The second takes over an attempt, and the first must abort its body."""
    first, second = started(rig), started(rig)
    assert not first.commit(100)
    assert second.commit(100)
    assert rig.states() == [states.INTENT, states.INTENT, states.COMMIT]


def test_another_senders_commit_is_left_alone_and_then_held(rig: Rig) -> None:
    """Until its upload must have ended, with a margin for the clocks; a receipt still counts afterwards."""
    attempt = started(rig)
    assert attempt.commit(100)
    rig.clock.advance(100 + MARGIN - 1)
    assert rig.start() is None
    assert rig.states()[-1] == states.COMMIT
    rig.clock.advance(2)
    assert rig.start() is None
    assert rig.states()[-1] == states.HELD
    assert rig.start() is None
    attempt.sent(status=200)
    assert rig.states()[-1] == states.SENT


def test_a_commit_that_took_too_long_aborts_the_body(rig: Rig) -> None:
    """The time of the create counts into the upload's; nothing was sent, so the batch is tried again."""

    def slow(verb: str, key: str) -> Fault | None:
        rig.clock.advance(100 if key.endswith("/000000000001") and verb == "create" else 0)
        return None

    assert not started(rig, slow).commit(100)
    assert rig.states() == [states.INTENT, states.COMMIT, states.RETRY]
    assert rig.start() is not None


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.AWAY, [states.INTENT, states.RETRY]),
        (Fault.LATE, [states.INTENT, states.RETRY]),
        (Fault.LOST, [states.INTENT, states.COMMIT]),
    ],
)
def test_a_commit_without_an_answer_is_read_back_or_closed(
    rig: Rig, fault: Fault, expected: list[str]
) -> None:
    """A COMMIT that is there may be used; one that is not can no longer appear."""
    left = [fault]

    def plan(verb: str, key: str) -> Fault | None:
        return left.pop() if verb == "create" and key.endswith("/000000000001") and left else None

    assert started(rig, plan).commit(100) == (expected[-1] == states.COMMIT)
    for _ in range(20):
        MemoryStore(rig.service).get("later")
    assert rig.states() == expected


def test_a_closed_number_of_another_attempt_is_left_alone(rig: Rig) -> None:
    """Who lost the answer and finds another sender's record writes nothing behind it."""
    left = [Fault.AWAY]

    def plan(verb: str, key: str) -> Fault | None:
        if verb == "create" and key.endswith("/000000000001") and left:
            return left.pop()
        if verb == "get" and key.endswith("/000000000001") and not taken:
            taken.append(started(rig))
        return None

    taken: list[Attempt] = []
    first = started(rig, plan)
    assert not first.commit(100)
    assert rig.states() in ([states.INTENT, states.RETRY], [states.INTENT, states.INTENT])


def test_a_retry_waits(rig: Rig) -> None:
    """Until the time that the service asked for."""
    started(rig).retry(rig.clock.now() + 60)
    assert rig.start() is None
    rig.clock.advance(60)
    assert rig.start() is not None


def test_a_sender_that_died_after_the_receipt(rig: Rig) -> None:
    """The next one removes the marker and sends nothing."""
    attempt = started(rig)
    assert attempt.commit(100)
    attempt.write(states.SENT)
    assert rig.start() is None
    assert not [key for key in rig.service.values if key.startswith("open/")]
    assert rig.states()[-1] == states.SENT


def test_a_store_that_rolls_back_can_repeat_a_batch(rig: Rig) -> None:
    """What no store of this kind can promise: a COMMIT that was acknowledged and is gone."""
    assert started(rig).commit(100)
    rig.service.roll_back(1)
    again = started(rig)
    assert again.commit(100)
