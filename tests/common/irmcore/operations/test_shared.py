"""A machine that comes to share an outbox: what it had queued or in doubt goes there as it was."""

from __future__ import annotations

import pytest
from irmcore.advice import advice
from irmcore.clock import Clock
from irmcore.errors import StoreAway
from irmcore.http.outcome import Reply
from irmcore.intake.promotion import result_there, was_promoted
from irmcore.operations import operations
from irmcore.operations.person import erase, pattern
from irmcore.operations.shared import Address, Promotion, SharedConnectors, result_of
from irmcore.operations.status import connector_status
from irmcore.outbox import states
from irmcore.outbox.on_store.replica import Replica
from irmcore.outbox.transitions import write_state
from irmcore.shaping.batches import halves
from irmcore.store.prefixed import Prefixed

from tests.fakes.clock import FakeClock
from tests.fakes.connector import ROOT, Connector, row
from tests.fakes.powerloss import Killed, PowerLossDisk
from tests.fakes.shared_outbox import machine
from tests.fakes.store import Fault, MemoryService, MemoryStore
from tests.fakes.transport import FakeTransport

SPLITTERS = {"text/csv": halves}


def member(clock: FakeClock, **options: str) -> Connector:
    """A machine with a directory of its own."""
    disk = PowerLossDisk()
    disk.make_dir(ROOT)
    return Connector(disk, clock, **options)  # type: ignore[arg-type]


def address(service: MemoryService, clock: Clock, who: str = "one") -> Address:
    """The store as the machine ``who`` knows it."""
    return Address(MemoryStore(service), "kv", clock, who)


def there(replica: Replica) -> dict[str, int]:
    """How many batches of each state are open on the store."""
    replica.refresh()
    names = [batch.state.name for batch in replica.ready() if batch.state is not None]
    return {name: names.count(name) for name in names}


@pytest.mark.parametrize(
    ("state", "in_doubt", "expected"),
    [
        (states.READY, "hold", states.READY),
        (states.PROPOSED, "hold", states.PROPOSED),
        (states.INTENT, "hold", states.RETRY),
        (states.RETRY, "hold", states.RETRY),
        (states.COMMIT, "hold", states.HELD),
        (states.COMMIT, "resend", states.RETRY),
        (states.HELD, "hold", states.HELD),
        (states.DEAD, "hold", states.DEAD),
    ],
)
def test_a_batch_is_promoted_as_what_it_was(state: str, in_doubt: str, expected: str) -> None:
    """One that a crash left in the middle of an upload is brought to rest first."""
    clock, service = FakeClock(), MemoryService()
    own = member(clock, in_doubt=in_doubt)
    own.accept([row(1)])
    (batch,) = own.outbox.ready()
    if state != states.READY:
        write_state(own.outbox, batch, name=state, attempts=3, reason="http-503")
    (promoted,) = Promotion(address(service, clock), own.outbox).rest(SPLITTERS)
    assert promoted.sizes == (1,)
    replica = address(service, clock).replica("small")
    assert there(replica) == {expected: 1}
    (found,) = replica.ready()
    assert found.state is not None
    assert found.state.attempts == (0 if state == states.READY else 3)
    clock.advance(3600)
    sender = machine(Prefixed(MemoryStore(service), "small"), clock, where="kv/small")
    sent = sender.drain(FakeTransport()).sent
    assert sent == int(expected in (states.READY, states.RETRY))


def test_a_batch_that_was_being_split_is_promoted_as_its_halves() -> None:
    """Each row once."""
    clock, service = FakeClock(), MemoryService()
    own = member(clock)
    own.accept([row(1), row(2)])
    (batch,) = own.outbox.ready()
    write_state(own.outbox, batch, name=states.SPLIT)
    Promotion(address(service, clock), own.outbox).rest(SPLITTERS)
    assert there(address(service, clock).replica("small")) == {states.READY: 2}


def test_what_became_of_a_run_is_kept_beside_it() -> None:
    """For whoever accepted it: what another machine had is skipped, and by whom the run was made."""
    clock, service = FakeClock(), MemoryService()
    one, two = member(clock), member(clock)
    one.accept([row(1)])
    Promotion(address(service, clock), one.outbox).rest()
    done = two.accept([row(1), row(2)])
    assert result_there(two.outbox, done.run) is None
    (promoted,) = Promotion(address(service, clock, "two"), two.outbox).rest()
    assert result_there(two.outbox, done.run) == promoted
    assert (promoted.known, promoted.user) == (1, "tester")
    counts = result_of(done, promoted).counts
    assert (counts.shaped, counts.skipped) == (1, 1)
    assert result_there(two.outbox, "../../connector") is None


def test_who_sends_is_known_to_all() -> None:
    """Also who did last; nobody at first."""
    clock, service = FakeClock(), MemoryService()
    own = member(clock)
    own.accept([row(1)])
    Promotion(address(service, clock), own.outbox).rest()
    one, two = (address(service, clock, name).replica("small") for name in ("one", "two"))
    assert two.holder() == ("", False)
    lock = one.sender_lock()
    assert lock is one
    assert two.holder() == ("one", True)
    assert two.sender_lock() is None
    clock.advance(120)
    assert two.holder() == ("one", False)
    assert two.sender_lock() is two, "others take over within two minutes"


def test_a_run_that_a_drain_beside_it_promoted() -> None:
    """Its batches are named as they are there, and what another machine was quicker with is counted."""
    clock, service = FakeClock(), MemoryService()
    one, two = member(clock), member(clock)
    one.accept([row(1)])
    Promotion(address(service, clock), one.outbox).rest()
    done = two.accept([row(1), row(2)])
    Promotion(address(service, clock, "two"), two.outbox).rest()
    command = Promotion(address(service, clock, "two"), two.outbox)
    found = command.run(done, command.accepted_there())
    assert (found.counts.shaped, found.elsewhere) == (1, 1)
    (batch,) = found.batches
    assert address(service, clock).replica("small").get(batch).id == batch
    assert batch not in done.batches


def test_what_a_machine_has_sent_alone_is_known_to_all() -> None:
    """Each row that any of them had sent before they shared falls out, also if it was sent by two."""
    clock, service = FakeClock(), MemoryService()
    one, two, three = member(clock), member(clock), member(clock)
    one.accept([row(1), row(2, day=21), row(3)])
    two.accept([row(3), row(4)])
    for machine_alone in (one, two):
        machine_alone.drain(FakeTransport())
        for _ in range(2):  # the second time as if the first had been killed at its end
            Promotion(address(service, clock), machine_alone.outbox).rest(SPLITTERS)
            machine_alone.disk.remove(f"{machine_alone.outbox.path}/promotion.json")
    three.accept([row(1), row(2, day=21), row(3), row(4), row(5)])
    found = Promotion(address(service, clock, "three"), three.outbox).rest(SPLITTERS)
    assert sum(run.known for run in found) == 4
    replica = address(service, clock).replica("small")
    assert there(replica) == {states.READY: 1}
    done = [batch.state.name for batch in replica.done() if batch.state is not None]
    assert done == [states.SENT] * 3
    sender = machine(Prefixed(MemoryStore(service), "small"), clock, where="kv/small")
    assert sender.drain(FakeTransport()).rows_sent == 1


def test_two_machines_that_come_to_share_an_outbox_at_once() -> None:
    """The rows that each has sent are known, though the other was quicker to take a number of the log."""
    clock, service = FakeClock(), MemoryService()
    one, two, three = member(clock), member(clock), member(clock)
    one.accept([row(1)])
    two.accept([row(2)])
    for machine_alone in (one, two):
        machine_alone.drain(FakeTransport())
    begun: list[str] = []

    def meanwhile(verb: str, key: str) -> None:
        if verb == "create" and "/log/" in key and not begun:
            begun.append(key)
            Promotion(address(service, clock), one.outbox).rest(SPLITTERS)

    Promotion(Address(MemoryStore(service, meanwhile), "kv", clock, "two"), two.outbox).rest(SPLITTERS)
    assert begun
    three.accept([row(1), row(2)])
    (found,) = Promotion(address(service, clock, "three"), three.outbox).rest(SPLITTERS)
    assert found.known == 2


def begin(service: MemoryService, clock: FakeClock, own: Connector, fault: Fault) -> None:
    """Promote from ``own``, until ``fault`` befalls the commit there; from then on the store is away."""
    met: list[str] = []

    def plan(verb: str, key: str) -> Fault | None:
        if not met and verb == "create" and "log/" in key and was_promoted(own.outbox):
            met.append(key)
            return fault
        return Fault.AWAY if met else None

    with pytest.raises((Killed, StoreAway)):
        Promotion(Address(MemoryStore(service, plan), "kv", clock, "one"), own.outbox).rest(SPLITTERS)
    (batch,) = own.outbox.ready()
    assert batch.state is not None
    assert batch.state.name == states.READY


#: What befalls a commit: it happened or not, and the machine died or does not know.
BEGUN = pytest.mark.parametrize(
    "fault", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER, Fault.LOST, Fault.AWAY], ids=lambda fault: fault.name
)


@BEGUN
def test_a_batch_whose_promotion_was_begun_is_not_sent_from_the_directory(fault: Fault) -> None:
    """The store may send it as well. Shared again, it is there once and needs nobody."""
    clock, service = FakeClock(), MemoryService()
    own = member(clock)
    Promotion(address(service, clock), own.outbox).rest(SPLITTERS)
    own.accept([row(1)])
    begin(service, clock, own, fault)
    own.accept([row(2)])
    alone = own.drain(FakeTransport())
    assert (alone.sent, alone.held, alone.trouble) == (1, 1, "promotion-begun")
    assert "`cluster`" in advice(alone.trouble)
    clock.advance(3600)
    for _ in range(2):
        Promotion(address(service, clock), own.outbox).rest(SPLITTERS)
    sender = machine(Prefixed(MemoryStore(service), "small"), clock, where="kv/small")
    assert sender.drain(FakeTransport()).rows_sent == 1
    assert not own.outbox.count_ready()


@BEGUN
def test_a_person_may_send_a_batch_whose_promotion_was_begun(fault: Fault) -> None:
    """The store is lost for good. Should it come back, it learns that the rows were sent."""
    clock, service = FakeClock(), MemoryService()
    own = member(clock)
    Promotion(address(service, clock), own.outbox).rest(SPLITTERS)
    own.accept([row(1)])
    begin(service, clock, own, fault)
    own.drain(FakeTransport())
    (held,) = own.outbox.ready()
    operations.resolve(own.outbox, held.id, "resend", who="anna", why="KV store is lost")
    assert own.drain(FakeTransport(Reply(503))).retrying == 1
    clock.advance(7200)
    assert own.drain(FakeTransport()).sent == 1
    Promotion(address(service, clock), own.outbox).rest(SPLITTERS)
    two = member(clock)
    two.accept([row(1)])
    (found,) = Promotion(address(service, clock, "two"), two.outbox).rest(SPLITTERS)
    assert found.known == 1


def test_what_a_machine_has_sent_after_it_left_is_known_when_it_comes_back() -> None:
    """Also what it was sending then, which is brought to rest as the first time."""
    clock, service = FakeClock(), MemoryService()
    one, two = member(clock), member(clock)
    one.accept([row(1)])
    Promotion(address(service, clock), one.outbox).rest(SPLITTERS)
    one.accept([row(2)])
    one.drain(FakeTransport())
    one.accept([row(3)])
    (batch,) = one.outbox.ready()
    write_state(one.outbox, batch, name=states.INTENT)
    for _ in range(2):
        Promotion(address(service, clock), one.outbox).rest(SPLITTERS)
    two.accept([row(1), row(2), row(3), row(4)])
    (found,) = Promotion(address(service, clock, "two"), two.outbox).rest(SPLITTERS)
    assert found.known == 3
    assert there(address(service, clock).replica("small")) == {states.READY: 2, states.RETRY: 1}


def test_what_a_sender_with_the_former_setting_sends_last_is_known_to_all() -> None:
    """It read that setting before the machine came to share an outbox, and got the sender's lock after it."""
    clock, service = FakeClock(), MemoryService()
    one, two = member(clock), member(clock)
    one.accept([row(1)])
    former = one.sender(FakeTransport())
    Promotion(address(service, clock), one.outbox).rest(SPLITTERS)
    one.accept([row(2)])
    assert former.drain().sent == 1
    Promotion(address(service, clock), one.outbox).rest(SPLITTERS)
    two.accept([row(1), row(2)])
    (found,) = Promotion(address(service, clock, "two"), two.outbox).rest(SPLITTERS)
    assert found.known == 2


def test_a_begun_batch_is_held_though_another_run_was_promoted_since() -> None:
    """It was quarantined, so the run after it came first. Whole again, it may still be sent by the store."""
    clock, service = FakeClock(), MemoryService()
    own = member(clock)
    Promotion(address(service, clock), own.outbox).rest(SPLITTERS)
    own.accept([row(1)])
    begin(service, clock, own, Fault.KILLED_AFTER)
    (batch,) = own.outbox.ready()
    whole = own.disk.read(f"{batch.path}/manifest.json")
    own.disk.write_at(f"{batch.path}/manifest.json", 0, b"X")
    own.accept([row(2)])
    Promotion(address(service, clock), own.outbox).rest(SPLITTERS)
    (quarantined,) = own.outbox.quarantined()
    own.disk.write_at(f"{quarantined.path}/manifest.json", 0, whole)
    operations.requeue(own.outbox, batch.id, who="anna", why="restored")
    assert own.drain(FakeTransport()).sent == 0
    sender = machine(Prefixed(MemoryStore(service), "small"), clock, where="kv/small")
    assert sender.drain(FakeTransport()).rows_sent == 2
    (held,) = own.outbox.ready()
    assert held.state is not None
    assert (held.state.name, held.state.reason) == (states.HELD, "promotion-begun")


def test_the_rest_of_a_begun_batch_is_held_too() -> None:
    """A person's rows were erased from it here. The others may be in the shared outbox."""
    clock, service = FakeClock(), MemoryService()
    own = member(clock)
    Promotion(address(service, clock), own.outbox).rest(SPLITTERS)
    own.accept([row(1), row(2)])
    begin(service, clock, own, Fault.KILLED_AFTER)
    who = pattern(["user1@contoso.com"])
    assert erase(own.outbox, who, SPLITTERS, by="anna", why="request 7").unsent == 1
    alone = own.drain(FakeTransport())
    assert (alone.sent, alone.held, alone.trouble) == (0, 1, "promotion-begun")


def test_the_status_of_an_outbox_that_was_not_read_yet() -> None:
    """Whether it is paused is on the store too."""
    clock, service = FakeClock(), MemoryService()
    own = member(clock)
    own.accept([row(1)])
    Promotion(address(service, clock), own.outbox).rest()
    sender = machine(Prefixed(MemoryStore(service), "small"), clock, where="kv/small")
    sender.drain(FakeTransport(Reply(403)))
    (outbox,) = SharedConnectors(address(service, clock)).outboxes()
    status = connector_status(outbox)
    assert (status.mode, status.queued) == ("paused", 1)
