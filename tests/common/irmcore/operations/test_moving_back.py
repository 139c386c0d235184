"""An outbox moves from a store back to a directory, whole, whatever is killed or frozen meanwhile."""

from __future__ import annotations

from contextlib import suppress

import pytest
from irmcore.delivery.circuit_breaker import LAST_PROBE
from irmcore.delivery.connection import save_settings
from irmcore.errors import OperatorError, OutboxBusy, PlaceRefused, StoreAway
from irmcore.intake.accept import accept
from irmcore.operations import operations
from irmcore.operations.moving import move
from irmcore.operations.moving_back import move_back
from irmcore.operations.rewriting import rotate
from irmcore.operations.verification import EVERYTHING, damages
from irmcore.outbox import Outbox, audit_log, states
from irmcore.outbox.batch_files import read_manifest, read_payload, read_rowkeys
from irmcore.outbox.on_store.attempts import MARGIN
from irmcore.outbox.on_store.commit_log import CommitLog
from irmcore.outbox.on_store.replica import Replica
from irmcore.outbox.transitions import quarantine, write_state
from irmcore.shaping.batches import halves

from tests.common.irmcore.intake.test_accept import HEADER, ORIGIN, WHERE, table
from tests.common.irmcore.intake.test_promotion import ANNA, BEN, CARL, DAY, NEXT_DAY, Member
from tests.common.irmcore.profiles import profile
from tests.fakes.connector import Connector
from tests.fakes.powerloss import Killed, PowerLossDisk
from tests.fakes.shared_outbox import machine
from tests.fakes.store import Fault, MemoryService, MemoryStore, Plan, no_fault
from tests.fakes.transport import FakeTransport

ROOT = "/back"
SPLITTERS = {"text/csv": halves}
OTHERS = [
    f"{name}@contoso.com,{DAY}T10:00:00Z,1,a\r\n" for name in ("erik", "fred", "gina", "hans", "ines", "jane")
]
STATES = (states.HELD, states.DEAD, states.PROPOSED, states.COMMIT)


def a_machine(member: Member, plan: Plan = no_fault) -> Connector:
    """A machine that works on the outbox on the store."""
    found = machine(MemoryStore(member.service, plan), member.clock, where=member.shared.where)
    assert found.outbox.exists()
    return found


def made() -> Member:
    """On the store: sent, withdrawn, queued of two days, held, dead, proposed, in doubt and quarantined."""
    member = Member(MemoryService(), "demo")
    for text in (ANNA, BEN, CARL + NEXT_DAY, *OTHERS):
        member.send(text)
        member.clock.advance(1)
    there = a_machine(member)
    batches = there.outbox.ready()
    for batch, name in zip(batches[3:], STATES):
        if name == states.COMMIT:
            write_state(there.outbox, batch, name=states.INTENT)
            batch = there.outbox.get(batch.id)  # noqa: PLW2901 - the next state of the same
        write_state(there.outbox, batch, name=name, reason="a-reason", seconds=10.0)
    quarantine(there.outbox, batches[-2])
    write_state(there.outbox, batches[-1], name=states.HELD)
    operations.resolve(there.outbox, batches[-1].id, "sent", who="anna", why="it arrived")
    operations.resolve(there.outbox, batches[0].id, "withdraw", who="anna", why="wrong")
    member.send(ANNA)
    operations.resolve(there.outbox, batches[1].id, "withdraw", who="anna", why="wrong")
    write_state(there.outbox, batches[2], name=states.RETRY, attempts=2)
    member.clock.advance(10.0 + MARGIN + 1)
    (queued,) = (batch for batch in a_machine(member).outbox.ready() if batch.number == 0)
    sender = a_machine(member)
    write_state(sender.outbox, sender.outbox.get(queued.id), name=states.INTENT)
    return member


def back(member: Member, disk: PowerLossDisk, plan: Plan = no_fault, root: str = ROOT) -> int:
    """Move it, as a new process."""
    where = member.shared.where
    replica = Replica(MemoryStore(member.service, plan), member.clock, where, at_once=1)
    target = Outbox(disk, member.clock, f"{root}/demo")
    return move_back(
        replica, member.shared_with(plan), target, SPLITTERS, place=f"host:{root}", who="anna", why="small"
    )


def a_disk() -> PowerLossDisk:
    """A disk with an empty directory for outboxes."""
    disk = PowerLossDisk()
    disk.make_dir(ROOT)
    return disk.synced()


def check(member: Member, disk: PowerLossDisk) -> None:
    """Everything is in the directory, as it was, and nothing is accepted or sent from the store."""
    outbox = Outbox(disk, member.clock, f"{ROOT}/demo")
    outbox.check()
    assert list(audit_log.verify(outbox)) == []
    assert "moved" in [event["event"] for event in audit_log.read(outbox)]
    for batch in outbox.all_batches():
        manifest = read_manifest(outbox, batch)
        read_payload(outbox, batch, manifest)
        assert len(read_rowkeys(outbox, batch)) == 53 * manifest.rows
    ready = sorted(batch.state.name for batch in outbox.ready() if batch.state)
    assert ready == ["DEAD", "HELD", "HELD", "PROPOSED", "RETRY", "RETRY"]
    assert len(outbox.quarantined()) == 1
    assert sorted(batch.state.name for batch in outbox.done() if batch.state) == [
        "SENT",
        "WITHDRAWN",
        "WITHDRAWN",
    ]
    again = accept(
        table(HEADER + ANNA + BEN + CARL + NEXT_DAY + "".join(OTHERS)),
        profile(),
        outbox,
        ORIGIN,
        destination=WHERE,
    )
    assert (again.counts.skipped, again.counts.shaped) == (9, 1), "Ben's batch was withdrawn"
    with pytest.raises(PlaceRefused, match="retired"):
        a_machine(member).drain(FakeTransport())
    with pytest.raises(OperatorError, match="retired"):
        Member(member.service, "late").send(BEN)


def test_an_outbox_moves_back_with_states_history_key_and_row_keys() -> None:
    """Moving it again changes nothing; to another directory it is refused."""
    member, disk = made(), a_disk()
    assert back(member, disk) == 10
    check(member, disk)
    assert back(member, disk) == 11
    disk.make_dir("/other")
    with pytest.raises(OperatorError, match="was moved to host:/back"):
        back(member, disk, root="/other")
    assert sorted(disk.names(ROOT)) == [".moving.lock", "demo"]


def test_two_moves_at_once_do_not_mix_their_copies() -> None:
    """A copy may take longer than the lease lasts, so the second one is refused by the directory."""
    member, disk = made(), a_disk()
    refused = []

    def plan(verb: str, key: str) -> None:
        if verb == "get" and key.endswith("/payload") and disk.exists(f"{ROOT}/.moving") and not refused:
            member.clock.advance(10 * LAST_PROBE)
            with pytest.raises(OutboxBusy, match="an outbox is being moved to this directory") as error:
                back(member, disk)
            refused.append(error.value)

    assert back(member, disk, plan) == 10
    assert refused
    check(member, disk)


def test_what_was_moved_is_sent_once() -> None:
    """From the directory, and with it what was not decided."""
    member, disk = made(), a_disk()
    back(member, disk)
    home = Connector(disk, member.clock)
    home.outbox = Outbox(disk, member.clock, f"{ROOT}/demo")
    member.clock.advance(LAST_PROBE)
    service = FakeTransport()
    assert home.drain(service).sent == 2
    assert b"".join(service.kept).count(b"@") == 3


@pytest.mark.parametrize("fault", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER, Fault.LOST], ids=lambda f: f.name)
def test_a_move_back_goes_on_after_a_fault_at_any_change_of_the_store(fault: Fault) -> None:
    """Nothing is accepted or sent in both places meanwhile."""
    start, at = made(), 0
    while True:
        member, disk, changes = forked(start), a_disk(), [0]

        def plan(verb: str, key: str, at: int = at, changes: list[int] = changes) -> Fault | None:
            changes[0] += verb in ("create", "delete")
            return fault if verb in ("create", "delete") and changes[0] - 1 == at else None

        with suppress(Killed, StoreAway):
            back(member, disk, plan)
        disk = disk.fork()
        member.clock.advance(10 * LAST_PROBE)  # a lease ends
        back(member, disk)
        check(member, disk)
        if changes[0] <= at:
            return
        at += 1


def forked(start: Member) -> Member:
    """The same store once more."""
    member = Member(MemoryService(), "demo")
    member.clock.advance(start.clock.now() - member.clock.now())
    for key, value in start.service.values.items():
        member.service.change(key, value)
    return member


@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=pytest.mark.faults)])
def test_a_move_back_goes_on_after_a_power_loss_at_any_write(stride: int) -> None:
    """Of the directory, with whatever was not synced lost; a complete one survives it."""
    start, at, killed = made(), 1, True
    while killed:
        member, disk = forked(start), a_disk()
        disk.kill_at, killed = disk.operations + at, False
        try:
            back(member, disk)
        except Killed:
            killed = True
        for left in disk.after_power_loss(limit=2, seed=at):
            again = forked(member)
            again.clock.advance(10 * LAST_PROBE)
            if killed:
                back(again, left)
            check(again, left)
        at += stride


def test_a_sender_that_froze_before_the_move_sends_nothing() -> None:
    """Its COMMIT would have to be the record that the move has claimed."""
    member, disk, service = Member(MemoryService(), "demo"), a_disk(), FakeTransport()
    member.send(ANNA)
    moved = []

    def plan(verb: str, key: str) -> None:
        if verb == "create" and key.startswith("state/") and key.endswith("2") and not moved:
            member.clock.advance(10 * LAST_PROBE)
            moved.append(back(member, disk))

    frozen = a_machine(member, plan)
    frozen.drain(service)
    assert moved == [1]
    assert service.kept == []
    (batch,) = Outbox(disk, member.clock, f"{ROOT}/demo").ready()
    assert batch.state is not None
    assert batch.state.name == states.RETRY


def test_a_run_that_froze_before_the_move_is_not_accepted() -> None:
    """Also if somebody has brought the index up to date since."""
    member, disk, late = Member(MemoryService(), "demo"), a_disk(), Member(MemoryService(), "late")
    member.send(ANNA)
    late.service = member.service
    moved = []

    def plan(verb: str, key: str) -> None:
        if verb == "create" and key.startswith("log/") and not moved:
            moved.append(back(member, disk))
            CommitLog(MemoryStore(member.service), member.clock).index()

    late.shared = late.shared_with(plan)
    with pytest.raises(OperatorError, match="moved to a directory"):
        late.send(BEN)
    assert moved == [1]
    assert len(late.outbox.ready()) == 1, "the row stays on its machine"


def test_a_batch_on_its_way_is_waited_for() -> None:
    """Nothing is changed before; afterwards it is HELD."""
    member, disk = Member(MemoryService(), "demo"), a_disk()
    member.send(ANNA)
    there = a_machine(member).outbox
    (batch,) = there.ready()
    batch = write_state(there, batch, name=states.INTENT)
    write_state(there, batch, name=states.COMMIT, seconds=60.0)
    with pytest.raises(OperatorError, match="may still be on their way"):
        back(member, disk)
    a_machine(member).outbox.check()
    member.clock.advance(60.0 + MARGIN + 1)
    assert back(member, disk) == 1
    (batch,) = Outbox(disk, member.clock, f"{ROOT}/demo").ready()
    assert batch.state is not None
    assert batch.state.name == states.HELD


def test_a_directory_with_an_outbox_is_refused() -> None:
    """Nothing is changed."""
    member, disk = Member(MemoryService(), "demo"), a_disk()
    member.send(ANNA)
    Outbox(disk, member.clock, f"{ROOT}/demo").create()
    values = dict(member.service.values)
    with pytest.raises(OperatorError, match="has an outbox already"):
        back(member, disk)
    assert member.service.values == values


def test_the_key_is_rotated_by_way_of_a_directory() -> None:
    """And the outbox goes on at another address, under both generations; no row is accepted again."""
    member, disk = Member(MemoryService(), "demo"), a_disk()
    for text in (ANNA, BEN):
        member.send(text)
        member.clock.advance(1)
    back(member, disk)
    home = Outbox(disk, member.clock, f"{ROOT}/demo")
    assert rotate(home) == 2
    there = Member(MemoryService(), "demo")
    there.clock.advance(member.clock.now() - there.clock.now())
    assert move(home, there.shared, who="anna", why="rotated") == 2
    assert there.shared_with(no_fault).keyring.newest == 2
    done, promoted = there.send(ANNA + BEN + CARL)
    assert (done.counts.skipped, promoted is not None and promoted.sizes) == (2, (1,))
    assert a_machine(there).drain(FakeTransport()).sent == 3


@pytest.mark.parametrize("over", [True, False], ids=["over", "lost"])
def test_row_keys_whose_time_was_over_there_are_no_damage_here(*, over: bool) -> None:
    """`retention.rowkeys_days` is for the store; row keys that were lost before their time are reported."""
    member = Member(MemoryService(), "demo")
    member.send(ANNA)
    there = a_machine(member)
    there.drain(FakeTransport())
    save_settings(there.outbox, {"connector": {"retention": {"rowkeys_days": 35}}})
    member.clock.advance((36 if over else 34) * 86_400.0)
    member.shared.log.index()  # so that nobody reads them in the batch
    for key in [key for key in member.shared.store.keys("batch/") if "/rowkeys/" in key]:
        member.shared.store.delete(key)
    disk = PowerLossDisk()
    disk.make_dir(ROOT)
    assert back(member, disk) == 1
    found = Outbox(disk, member.clock, f"{ROOT}/demo")
    assert any(str(one).count("row keys are missing") for one in damages(found, EVERYTHING)) == (not over)
