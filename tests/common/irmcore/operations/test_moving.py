"""An outbox moves from a directory to a store, whole, whatever is killed meanwhile."""

from __future__ import annotations

from contextlib import suppress

import pytest
from irmcore.errors import OperatorError, PlaceRefused, StoreAway
from irmcore.intake.accept import accept
from irmcore.intake.accepted_there import AcceptedThere
from irmcore.intake.promotion import promote
from irmcore.operations import adoption
from irmcore.operations.moving import move
from irmcore.outbox import Outbox, audit_log, states
from irmcore.outbox.batch_files import read_manifest, read_payload, read_rowkeys
from irmcore.outbox.on_store.replica import Replica
from irmcore.outbox.transitions import move_to_done, write_ended, write_state

from tests.common.irmcore.intake.test_accept import HEADER, ORIGIN, WHERE, table
from tests.common.irmcore.intake.test_promotion import (
    ANNA,
    BEN,
    CARL,
    NEXT_DAY,
    Member,
    restart,
    rows_there,
)
from tests.common.irmcore.profiles import profile
from tests.fakes.powerloss import Killed
from tests.fakes.store import Fault, MemoryService, MemoryStore, no_fault

ALL = ANNA + BEN + CARL + NEXT_DAY


def made() -> Member:
    """A directory with a batch of each kind: sent, withdrawn, queued, and one of two days."""
    member = Member(MemoryService(), "demo")
    for text in (ANNA, BEN, CARL + NEXT_DAY):
        accept(table(HEADER + text), profile(), member.outbox, ORIGIN, destination=WHERE)
        member.clock.advance(1)
    sent, withdrawn, _ = member.outbox.ready()
    move_to_done(member.outbox, write_state(member.outbox, sent, name=states.SENT, status=200))
    move_to_done(member.outbox, write_ended(member.outbox, withdrawn, states.WITHDRAWN, "withdrawn"))
    member.outbox.replace_file("cursor-okta-one", b"the cursor")
    member.outbox.replace_file("canary.json", b"the canary's record")
    return member


def run(member: Member) -> int:
    """Move it."""
    return move(member.outbox, member.shared, who="anna", why="to Azure")


def check(member: Member) -> None:
    """What must be on the store after a move, and that the directory does nothing any more."""
    shared = member.shared_with(no_fault)
    replica = Replica(MemoryStore(member.service), member.clock, shared.where, at_once=1)
    assert replica.exists()
    replica.check()
    (queued,) = replica.ready()
    manifest = read_manifest(replica, queued)
    assert b"carl" in read_payload(replica, queued, manifest)
    assert len(read_rowkeys(replica, queued)) == 2 * 53
    assert sorted(batch.state.name for batch in replica.done() if batch.state) == ["SENT", "WITHDRAWN"]
    assert replica.read_file("cursor-okta-one") == b"the cursor"
    assert replica.read_file("canary.json") == b"the canary's record"
    assert list(audit_log.verify(replica)) == []
    assert [event["event"] for event in audit_log.read(replica)][-1] == "moved"
    again = Member(member.service, "another").accept(ALL, there=AcceptedThere(shared))
    assert (again.counts.skipped, again.counts.shaped) == (3, 1)  # Ben's batch was withdrawn
    with pytest.raises(PlaceRefused, match="retired"):
        member.outbox.check()


def test_an_outbox_moves_with_its_history_key_and_row_keys() -> None:
    """To the same batches under the same ids; moving it again changes nothing."""
    member = made()
    assert run(member) == 3
    check(member)
    values = dict(member.service.values)
    assert run(member) == 3
    assert member.service.values == values


@pytest.mark.parametrize("fault", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER, Fault.LOST], ids=lambda f: f.name)
def test_a_move_goes_on_after_a_fault_at_any_call_of_the_store(fault: Fault) -> None:
    """Nothing is accepted or sent in both places meanwhile."""
    at = 0
    while True:
        member = made()
        calls = 0

        def plan(verb: str, key: str, at: int = at) -> Fault | None:
            nonlocal calls
            calls += 1
            return fault if calls - 1 == at else None

        member.shared = member.shared_with(plan)
        try:
            run(member)
        except (Killed, StoreAway):
            there = member.shared_with(no_fault).identity()
            assert there is None or retired(member)
            restart(member)
            member.shared = member.shared_with(no_fault)
            run(member)
        check(member)
        if calls <= at:
            return
        at += 1


def retired(member: Member) -> bool:
    """Whether the directory is retired, as the next process finds it."""
    known = Outbox(member.disk.fork(), member.clock, member.outbox.path).identity()
    return known is not None and known.retired


def test_a_move_goes_on_after_it_was_killed_at_any_write() -> None:
    """Of the directory."""
    at = 1
    while True:
        member = made()
        member.disk.kill_at = member.disk.operations + at
        try:
            run(member)
            killed = False
        except Killed:
            killed = True
            restart(member)
            member.shared = member.shared_with(no_fault)
            run(member)
        check(member)
        if not killed:
            return
        at += 1


@pytest.mark.parametrize("state", [states.HELD, states.DEAD, states.COMMIT])
def test_an_outbox_with_a_batch_in_doubt_is_not_moved(state: str) -> None:
    """Nor one with a refused batch; nothing is changed."""
    member = made()
    write_state(member.outbox, member.outbox.ready()[0], name=state)
    with pytest.raises(OperatorError, match="in doubt, refused or quarantined"):
        run(member)
    assert member.service.values == {}
    member.outbox.check()


def test_an_outbox_with_a_begun_promotion_is_not_moved() -> None:
    """The store on which its rows may be already would send them, and so would the other one."""
    member = Member(MemoryService(), "demo")
    accept(table(HEADER + ANNA), profile(), member.outbox, ORIGIN, destination=WHERE)

    def plan(verb: str, key: str) -> Fault | None:
        return Fault.KILLED_AFTER if (verb, key[:4]) == ("create", "log/") else None

    there = Member(MemoryService(), "demo")
    with pytest.raises(Killed):
        promote(member.outbox, there.shared_with(plan))
    with pytest.raises(OperatorError, match="on their way to an outbox"):
        run(member)
    member.outbox.check()  # and was not retired
    promote(member.outbox, there.shared)
    assert run(member) == 1


def test_a_store_that_has_another_outbox_is_refused() -> None:
    """Its rows and those of the directory would be keyed differently."""
    member = made()
    Member(member.service, "two").send(ANNA)
    values = dict(member.service.values)
    with pytest.raises(OperatorError, match="has an outbox at this address already"):
        run(member)
    assert member.service.values == values
    member.outbox.check()


def test_a_copy_of_the_store_sends_nothing_until_it_is_adopted() -> None:
    """It is noticed by its address; what was queued is HELD then."""
    member = made()
    run(member)
    copy = Replica(MemoryStore(member.service), member.clock, "az://account/copied/demo", at_once=1)
    assert copy.exists()
    with pytest.raises(PlaceRefused, match="another machine"):
        copy.check()
    assert adoption.adopt(copy, send=False, who="anna", why="restored") == 1
    copy.check()
    assert [batch.state.name for batch in copy.ready() if batch.state] == [states.HELD]


def test_a_retired_outbox_on_a_store_accepts_nothing() -> None:
    """The rows stay on the machine."""
    member = made()
    run(member)
    there = Replica(MemoryStore(member.service), member.clock, member.shared.where, at_once=1)
    assert there.exists()
    adoption.retire(there, who="anna", why="given up")
    another = Member(member.service, "another")
    another.accept("erik@contoso.com,2026-01-05T10:00:00Z,1,a\r\n")
    with pytest.raises(OperatorError, match="is retired"):
        another.promote()
    assert len(another.outbox.ready()) == 1


@pytest.mark.parametrize("calls", range(0, 40, 3))
def test_nothing_is_promoted_into_an_outbox_that_is_still_being_moved(calls: int) -> None:
    """Nor is an outbox moved to where another one was created meanwhile; whoever comes second is refused."""
    member = made()
    other = Member(member.service, "demo")
    other.accept("zoe@contoso.com,2026-01-05T10:00:00Z,1,a\r\n")
    left = [calls]

    def plan(*_: str) -> None:
        left[0] -= 1
        if left[0] == -1:
            with suppress(OperatorError):
                other.promote()

    member.shared = member.shared_with(plan)
    try:
        run(member)
        moved = True
    except OperatorError:
        moved = False
    member.shared = member.shared_with(no_fault)
    if moved:
        other.promote()
    rows = sorted(row[0].partition("@")[0] for row in rows_there(other))
    assert rows == (["anna", "ben", "carl", "dora", "zoe"] if moved else ["zoe"])
    for text in ALL.splitlines(keepends=True) if moved else ():
        probe = Member(member.service, "probe")
        assert probe.accept(text).counts.shaped == (text == BEN)
