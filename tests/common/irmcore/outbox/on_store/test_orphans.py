"""What runs wrote on a store and never had accepted: the daily clean-up removes it, and nothing else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from irmcore.errors import StoreAway
from irmcore.http.outcome import Reply
from irmcore.operations.retention import clean_up, clean_up_daily
from irmcore.outbox.on_store.commit_log import DISCARD, CommitLog

from tests.common.irmcore.intake.test_promotion import ANNA, BEN, CARL, NEXT_DAY, Member, rows_there, users
from tests.common.irmcore.outbox.on_store.test_halves import ALL, replica_of, split
from tests.common.irmcore.profiles import profile
from tests.fakes.powerloss import Killed
from tests.fakes.store import Fault, MemoryService, Plan
from tests.fakes.transport import FakeTransport

DAY = 86_400.0


def killed(service: MemoryService, text: str = ANNA) -> Member:
    """A machine that was killed just before its commit, and never returns."""

    def plan(verb: str, key: str) -> Fault | None:
        return Fault.KILLED_BEFORE if verb == "create" and key.startswith("log/") else None

    member = Member(service, "dead", plan)
    with pytest.raises(Killed):
        member.send(text)
    return member


def orphans(member: Member) -> set[str]:
    """What is there of batches that no run was accepted with."""
    log = CommitLog(member.shared.store, member.clock)
    accepted = {name for entry in log.entries() for name in entry.batches}
    keys = [key for key in member.service.values if key.startswith(("batch/", "open/", "state/"))]
    return {key.split("/")[1] for key in keys} - accepted


def test_the_daily_clean_up_removes_what_a_dead_run_wrote() -> None:
    """Its rows included, a day later; the rows are new for every other machine."""
    service = MemoryService()
    killed(service)
    member = Member(service, "one")
    member.send(BEN)
    outbox = replica_of(member).outbox
    assert clean_up_daily(outbox, pytest.fail) is not None
    assert len(orphans(member)) == 1, "a run that has just begun is left alone"
    outbox.clock.advance(DAY + 1)  # type: ignore[attr-defined]
    assert clean_up_daily(outbox, pytest.fail) is not None
    assert orphans(member) == set()
    assert member.send(ANNA)[0].counts.shaped == 1
    assert users(rows_there(member)) == ["ben", "anna"]


def test_a_run_that_was_only_suspended_starts_anew() -> None:
    """It finds its discard before it commits, loses nothing, and its next try is accepted."""
    service = MemoryService()
    other = Member(service, "two")
    other.send(BEN)

    def plan(verb: str, key: str) -> None:
        if verb == "create" and key.startswith("log/") and not discarded:
            discarded.append(key)
            other.clock.advance(2 * DAY)
            clean_up([replica_of(other).outbox])

    discarded: list[str] = []
    member = Member(service, "one", plan)
    member.accept(ANNA)
    with pytest.raises(StoreAway, match="discarded while it was suspended"):
        member.promote()
    assert DISCARD in [entry.kind for entry in member.shared.log.entries()]
    member.promote()
    assert users(rows_there(member)) == ["ben", "anna"]
    assert orphans(member) == set()


def test_what_was_accepted_stays_however_old_it_is() -> None:
    """Batches that are proposed, held, or halves of one; nothing is discarded for them."""
    member = Member(MemoryService(), "one")
    halves = {batch.id for batch in split(member, ALL)}
    member.send(CARL.replace(",1,a", ",1,b"), profile("release: approve\n"))
    before = dict(member.service.values)
    member.clock.advance(6 * DAY)
    clean_up([replica_of(member).outbox])
    gone = [key for key in before if key not in member.service.values]
    assert gone == []
    assert DISCARD not in [entry.kind for entry in member.shared.log.entries()]
    assert halves <= {batch.id for batch in replica_of(member).outbox.ready()}
    assert replica_of(member).drain(FakeTransport(Reply(200), then=Reply(200))).sent == 2


def test_a_run_that_was_killed_anywhere_leaves_nothing_for_ever() -> None:
    """Its markers come first and go last, also when the clean-up is killed."""
    at = 0
    while True:
        member = Member(MemoryService(), "one")
        member.send(BEN)
        left = [at]

        def plan(verb: str, key: str, left: list[int] = left) -> Fault | None:
            left[0] -= verb == "create" and key.startswith(("open/", "batch/", "state/", "log/"))
            return Fault.KILLED_BEFORE if left[0] < 0 else None

        dead = Member(member.service, "dead", plan)
        dead.accept(ANNA + NEXT_DAY, profile("release: approve\n"))
        with suppress(Killed):
            dead.promote()
        if left[0] >= 0:
            return
        for number in range(12):
            member.clock.advance(DAY + 1)
            with suppress(Killed):
                clean_up([replica_of(member, at_delete(number)).outbox])
        assert orphans(member) == set(), at
        at += 1


def at_delete(number: int) -> Plan:
    """A process that is killed at the nth delete."""
    left = [number]

    def plan(verb: str, _: str) -> Fault | None:
        left[0] -= verb == "delete"
        return Fault.KILLED_BEFORE if left[0] < 0 else None

    return plan
