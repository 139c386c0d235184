"""Row keys in an outbox that machines share go after their time, and not a day before."""

from __future__ import annotations

import datetime

import pytest
from irmcore.advice import advice
from irmcore.delivery.connection import save_settings
from irmcore.operations import operations
from irmcore.operations.retention import clean_up
from irmcore.operations.shared import Address, Promotion
from irmcore.operations.status import connector_status
from irmcore.operations.verification import EVERYTHING, damages
from irmcore.outbox import states
from irmcore.outbox.retention import DAY
from irmcore.shaping.batches import halves

from tests.fakes.clock import FakeClock
from tests.fakes.connector import ROOT, Connector, row
from tests.fakes.powerloss import PowerLossDisk
from tests.fakes.store import MemoryService, MemoryStore
from tests.fakes.transport import FakeTransport

SPLITTERS = {"text/csv": halves}
NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.timezone.utc).timestamp()


class World:
    """Machines that share an outbox, and the clock of all of them."""

    def __init__(self, rowkeys_days: int = 35) -> None:
        self.clock, self.service = FakeClock(NOON), MemoryService()
        self.address = Address(MemoryStore(self.service), "kv", self.clock, "one", rowkeys_days=rowkeys_days)
        self.replica = self.address.replica("small")

    def machine(self) -> Connector:
        disk = PowerLossDisk()
        disk.make_dir(ROOT)
        return Connector(disk, self.clock)

    def promote(self, machine: Connector) -> int:
        """Promote what a machine has accepted; returns how many of its rows were known."""
        return sum(one.known for one in Promotion(self.address, machine.outbox).rest(SPLITTERS))

    def accept(self, *lines: str) -> int:
        """Accept rows on another machine, and promote them; returns how many were known."""
        machine = self.machine()
        machine.accept(lines)
        return self.promote(machine)

    def send(self) -> int:
        """Send what is queued; returns how many rows that were."""
        sender = Connector(self.replica.disk, self.clock)
        sender.outbox = self.replica
        return sender.drain(FakeTransport()).rows_sent

    def pass_days(self, days: float) -> None:
        """Let time pass, and run the daily clean-up."""
        end = self.clock.now() + days * DAY
        while self.clock.now() < end:
            self.clock.advance(min(7 * DAY, end - self.clock.now()))
            assert self.replica.exists()
            clean_up([self.replica], clock_checked_by="anna")

    def kept(self) -> set[str]:
        """The dates with row keys, wherever they are."""
        found = {part for key in self.service.values for part in key.split("/")}
        return {part for part in found if part.startswith("2026-")}


@pytest.mark.parametrize(
    ("days", "known", "dates"),
    [
        (34, 2, {"2026-11-19", "2026-11-20"}),
        (35.1, 1, {"2026-11-20"}),
        (36.1, 0, set()),
    ],
    ids=["inside", "one-of-each", "outside"],
)
def test_a_row_is_known_for_its_time(days: float, known: int, dates: set[str]) -> None:
    """Until its date, and the last run that had rows of that, are 35 days ago; then all copies go."""
    world = World()
    for line in (row(1, day=19), row(2, day=20)):
        world.accept(line)
    assert world.send() == 2
    world.pass_days(days)
    assert world.kept() == dates
    assert list(damages(world.replica, EVERYTHING)) == []
    assert world.accept(row(1, day=19), row(2, day=20)) == known
    assert world.send() == 2 - known


def test_an_old_row_is_known_for_as_long_after_its_run() -> None:
    """A search over old days that runs again sends nothing twice."""
    world = World()
    world.accept(row(1, day=1), row(2, day=2))
    world.pass_days(30)
    world.accept(row(3, day=1))
    assert world.send() == 3
    world.pass_days(34)
    assert world.accept(row(1, day=1), row(2, day=2), row(3, day=1)) == 2


def test_on_another_store_the_profile_decides() -> None:
    """400 days without a word."""
    world = World(rowkeys_days=400)
    world.accept(row(1))
    world.send()
    world.pass_days(399)
    assert world.accept(row(1)) == 1
    save_settings(world.replica, {"connector": {"retention": {"rowkeys_days": 35}}})
    world.pass_days(1)
    assert world.kept() == set()
    assert connector_status(world.replica).retention_days["rowkeys"] == 35


def test_an_open_batch_keeps_what_was_accepted_since() -> None:
    """A person may still send it, and its rows must not be sent beside it before."""
    world = World()
    world.accept(row(1, day=10))
    world.send()
    world.clock.advance(60)
    world.accept(row(2, day=11))
    assert world.replica.exists()
    (batch,) = world.replica.ready()
    operations.write_state(world.replica, batch, name=states.HELD, reason="reset")
    world.pass_days(60)
    assert world.accept(row(1, day=10), row(2, day=11)) == 1
    operations.resolve(world.replica, batch.id, "sent", who="anna", why="seen in the portal")
    world.pass_days(60)
    assert world.accept(row(2, day=11)) == 0


def test_a_withdrawn_row_stays_withdrawn() -> None:
    """Whatever else goes on the same day."""
    world = World()
    world.accept(row(1), row(2))
    assert world.replica.exists()
    (batch,) = world.replica.ready()
    operations.resolve(world.replica, batch.id, "withdraw", who="anna", why="wrong column")
    world.pass_days(34)
    assert world.accept(row(1)) == 0
    world.pass_days(36)
    assert world.send() == 1
    assert world.accept(row(1)) == 1


@pytest.mark.parametrize(("days", "state"), [(13.9, "READY"), (14.1, "HELD")], ids=["in-time", "late"])
def test_a_run_that_waited_too_long_is_held(days: float, state: str) -> None:
    """Another machine may have sent its rows before the keys of those went. A person decides."""
    world = World()
    late = world.machine()
    late.accept([row(1), row(2)])
    world.accept(row(2))
    world.send()
    world.clock.advance(days * DAY)
    assert world.promote(late) == 1
    assert world.replica.exists()
    (batch,) = world.replica.ready()
    assert batch.state is not None
    assert batch.state.name == state
    assert world.send() == (state == "READY")
    if state == "HELD":
        assert "another machine has sent them" in advice(batch.state.reason)
        operations.resolve(world.replica, batch.id, "resend", who="anna", why="not in the portal")
        assert world.send() == 1
