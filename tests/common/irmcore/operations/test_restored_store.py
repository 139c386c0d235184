"""A store that was restored in place is noticed by each machine that has seen more of it."""

from __future__ import annotations

import copy

import pytest
from irmcore.delivery.report import Report
from irmcore.errors import PlaceRefused
from irmcore.operations import adoption
from irmcore.operations.retention import clean_up
from irmcore.operations.shared import Address, Promotion
from irmcore.operations.status import connector_status
from irmcore.outbox import states
from irmcore.outbox.on_store.replica import Replica
from irmcore.outbox.on_store.witness import Witness

from tests.fakes.clock import FakeClock
from tests.fakes.connector import ROOT, Connector, row
from tests.fakes.powerloss import PowerLossDisk
from tests.fakes.store import MemoryService, MemoryStore
from tests.fakes.transport import FakeTransport

SEEN = "/outbox/seen"


class Machine:
    """A machine with a disk of its own, that sends and accepts."""

    def __init__(self, service: MemoryService, clock: FakeClock) -> None:
        disk = PowerLossDisk()
        disk.make_dir(ROOT)
        disk = disk.synced()
        self.disk, self.own = disk, Connector(disk, clock)
        self.address = Address(MemoryStore(service), "az://account/container", clock, seen=(disk, SEEN))

    @property
    def replica(self) -> Replica:
        """The outbox, as a new process has it."""
        found = self.address.replica("small")
        assert found.exists()
        return found

    def send(self, *numbers: int) -> Report:
        """Accept rows and send what is queued."""
        if numbers:
            self.own.accept(map(row, numbers))
        Promotion(self.address, self.own.outbox).rest()
        sender = copy.copy(self.own)
        sender.outbox = self.replica
        return sender.drain(FakeTransport())


def restored(service: MemoryService, to: int) -> None:
    """The store is restored to what it was after so many changes."""
    service.roll_back(len(service.changes) - to)


def made() -> tuple[MemoryService, FakeClock, Machine, int]:
    """A batch was queued when the backup was made, and was sent since, and another one after it."""
    service, clock = MemoryService(), FakeClock()
    machine = Machine(service, clock)
    machine.own.accept([row(1)])
    Promotion(machine.address, machine.own.outbox).rest()
    backup = len(service.changes)
    machine.send()
    return service, clock, machine, backup


def test_what_a_machine_has_seen_survives_a_power_loss() -> None:
    """Otherwise a restored store would go unnoticed after one."""
    _, _, machine, _ = made()
    (name,) = machine.disk.names(SEEN)
    seen = Witness(machine.disk, f"{SEEN}/{name}").seen()
    assert seen is not None
    for disk in machine.disk.after_power_loss():
        assert Witness(disk, f"{SEEN}/{name}").seen() == seen


def test_a_restored_store_sends_nothing_until_it_is_adopted() -> None:
    """Status says so; then what is queued is HELD, and everything goes on, also on other machines."""
    service, clock, machine, backup = made()
    other = Machine(service, clock)
    other.send(2)
    restored(service, backup)
    for one in (machine, other):
        with pytest.raises(PlaceRefused, match="restored to an earlier state"):
            one.send()
        assert "irmexport outbox adopt small" in connector_status(one.replica).trouble
    assert adoption.adopt(machine.replica, send=False, who="anna", why="restored") == 1
    (batch,) = machine.replica.ready()
    assert batch.state is not None
    assert (batch.state.name, batch.state.reason) == (states.HELD, "adopted")
    for one in (machine, other):
        assert connector_status(one.replica).trouble == ""
    assert [machine.send(3).sent, other.send(4).sent, machine.send().sent] == [1, 1, 0]


def test_a_restored_store_to_which_others_have_added_since_is_noticed() -> None:
    """Though its audit log is longer by then: the line that was seen is another one."""
    service, clock, machine, backup = made()
    restored(service, backup)
    clock.advance(60.0)
    stranger = Machine(service, clock)
    for number in (2, 3, 4):
        stranger.send(number)
    with pytest.raises(PlaceRefused, match="restored to an earlier state"):
        machine.send()


def test_rows_are_not_promoted_into_a_restored_store() -> None:
    """They stay on the machine until the outbox is adopted, also if it has never sent."""
    service, clock, machine, backup = made()
    producer = Machine(service, clock)
    producer.own.accept([row(2)])
    Promotion(producer.address, producer.own.outbox).rest()
    restored(service, backup)
    producer.own.accept([row(3)])
    with pytest.raises(PlaceRefused, match="lacks record 1 of its log"):
        Promotion(producer.address, producer.own.outbox).rest()
    adoption.adopt(machine.replica, send=False, who="anna", why="restored")
    assert len(Promotion(producer.address, producer.own.outbox).rest()) == 1


def test_where_nobody_could_adopt_it_a_machine_goes_on() -> None:
    """A KV store may take a commit back; there, rows that are promoted next must not wait for ever."""
    service, clock = MemoryService(), FakeClock()
    machine = Machine(service, clock)
    machine.address = Address(MemoryStore(service), "kvstore", clock)
    machine.own.accept([row(1)])
    Promotion(machine.address, machine.own.outbox).rest()
    service.roll_back(1)
    assert not any(key.startswith("small/log/") for key in service.values)
    assert machine.send(2).sent == 1


def test_what_is_past_its_time_is_not_missed() -> None:
    """Lines of the audit log that a checkpoint replaced were seen, and were not lost."""
    service, clock, machine, _ = made()
    clock.advance(500 * 86_400.0)
    other = Machine(service, clock)
    other.send(2)
    clean_up([other.replica])
    assert machine.send(3).sent == 1


def test_a_machine_that_has_seen_nothing_notices_nothing() -> None:
    """Nor does one whose note is damaged."""
    service, clock, machine, backup = made()
    restored(service, backup)
    disk = machine.disk
    assert disk.exists(f"{SEEN}/small.json")
    disk.write_at(f"{SEEN}/small.json", 0, b"x")
    assert connector_status(machine.replica).trouble == ""
    assert Machine(service, clock).send().sent == 1


def test_a_full_disk_keeps_nobody_from_sending() -> None:
    """What was seen is not noted then."""
    service, clock = MemoryService(), FakeClock()
    machine = Machine(service, clock)
    machine.own.accept([row(1)])
    Promotion(machine.address, machine.own.outbox).rest()
    machine.disk.full = True
    assert machine.send().sent == 1
