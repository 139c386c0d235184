"""A drain takes what is accepted meanwhile, keeps what another process was told about it, and ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from irmcore.delivery.arrivals import TAKE_IN
from irmcore.disk import Lock, PosixDisk
from irmcore.errors import AnotherSender, OutboxBusy
from irmcore.http.outcome import Outcome, Reply
from irmcore.http.upload import Upload

from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, notes, row
from tests.fakes.powerloss import PowerLossDisk
from tests.fakes.transport import FakeTransport


class Meanwhile(PowerLossDisk):
    """A disk on which another process gets its turn before the ``at``th call of any kind."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0
        self.calls = 0
        self.other: Callable[[], object] = lambda: None

    def _turn(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            self.other()

    def _step(self, kind: str, path: str) -> None:
        self._turn()
        super()._step(kind, path)

    def read(self, path: str) -> bytes:
        self._turn()
        return super().read(path)

    def names(self, path: str) -> list[str]:
        self._turn()
        return super().names(path)

    def exists(self, path: str) -> bool:
        self._turn()
        return super().exists(path)

    def try_lock(self, path: str, *, shared: bool = False) -> Lock | None:  # type: ignore[override]
        self._turn()
        return super().try_lock(path, shared=shared)


def connector_on(disk: PowerLossDisk) -> Connector:
    """A connector with batches of one row, the first of which is queued."""
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock(), rows=1)
    connector.accept([row(0)])
    return connector


def kept(service: FakeTransport) -> list[str]:
    """The notes that the service has kept, sorted."""
    return sorted(note for file in service.kept for note in notes(file))


def test_what_another_process_is_told_about_a_sender_is_true() -> None:
    """Whenever rows are accepted and a sender is said to be at work, that sender sends them in this drain.

    If it is not said, the lock is free again at once, or the process that accepted the rows sends them.
    """
    told = {"another": 0, "busy": 0, "sent": 0}
    number = 0
    while True:
        number += 1
        disk = Meanwhile()
        connector = connector_on(disk)
        service = FakeTransport()
        said = []

        def other(connector: Connector = connector, said: list[str] = said) -> None:
            connector.accept([row(1)])
            try:
                connector.drain(FakeTransport())
            except AnotherSender:
                said.append("another")
            except OutboxBusy:
                said.append("busy")
            else:
                said.append("sent")

        disk.other, disk.calls, disk.at = other, 0, number
        connector.drain(service)
        if not said:
            break
        told[said[0]] += 1
        if said[0] == "another":
            assert kept(service) == ["note 0", "note 1"], number
            assert set(connector.states().values()) == {"done SENT"}, number
    assert told["another"] > 20
    assert told["sent"] >= 1
    assert told["busy"] >= 1, "before the sender takes in, and after it has ended that"


class Busy(FakeTransport):
    """A service that takes a minute for each upload, in which more rows are accepted."""

    def __init__(self, connector: Connector) -> None:
        super().__init__()
        self.connector = connector
        self.accepted = 0
        self.claims: list[bool] = []

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
        self.connector.clock.sleep(60.0)
        self.accepted += 2
        self.connector.accept([row(2 * self.accepted - 1), row(2 * self.accepted)])
        self.claims.append(self.connector.outbox.is_taken_in())
        return super().post(upload, commit)


def test_a_drain_ends_though_rows_never_cease_to_come() -> None:
    """Rows that come faster than they are sent keep no sender forever; what it claimed it has sent."""
    connector = connector_on(PowerLossDisk())
    service = Busy(connector)
    connector.drain(service)
    minutes = TAKE_IN / 60.0
    assert minutes <= len(service.posts) <= 4 * minutes
    assert service.claims[0]
    assert not service.claims[-1]
    claimed = 1 + 2 * service.claims.count(True)
    assert len(service.posts) >= claimed
    assert connector.outbox.count_ready() == 1 + 2 * len(service.posts) - len(service.posts)


def test_a_sender_waits_for_a_persons_command() -> None:
    """A command that holds the lock is no sender: a drain waits for it, or says that the rows stay queued."""
    connector = connector_on(PowerLossDisk())
    lock = connector.outbox.sender_lock()
    assert lock is not None
    service = FakeTransport()
    with pytest.raises(OutboxBusy, match="run `irmexport drain`") as caught:
        connector.sender(service).drain(wait=3.0)
    assert type(caught.value) is OutboxBusy
    assert connector.clock.monotonic() >= 3.0

    class Released(FakeClock):
        def sleep(self, seconds: float) -> None:
            lock.release()
            super().sleep(seconds)

    connector.clock = connector.outbox.clock = Released()
    assert connector.sender(service).drain(wait=3.0).sent == 1


def test_a_sender_waits_for_somebody_who_looks() -> None:
    """A process that looks whether a sender is at work keeps it from saying so for a moment only."""
    connector = connector_on(PowerLossDisk())
    look = connector.disk.try_lock(f"{connector.outbox.path}/drain.lock", shared=True)
    assert look is not None
    seen: list[bool] = []

    class Ends(FakeClock):
        def sleep(self, seconds: float) -> None:
            look.release()
            super().sleep(seconds)

    connector.clock = connector.outbox.clock = Ends()
    service = FakeTransport(wire=lambda _: seen.append(connector.outbox.is_taken_in()))
    assert connector.drain(service).sent == 1
    assert seen == [True, True]


def test_halves_of_a_split_are_no_arrivals() -> None:
    """The halves that a drain makes are sent once each, or are left to be retried, and are counted once."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock(), rows=4)
    connector.accept(row(number) for number in range(4))
    report = connector.drain(FakeTransport(Reply(413), Reply(503, wait=60.0), Reply(200)))
    assert (report.split, report.sent, report.queued) == (1, 1, 1)


def test_a_pause_leaves_what_came_meanwhile() -> None:
    """After a 403 nothing more is sent, whatever came."""
    connector = connector_on(PowerLossDisk())
    service = FakeTransport(then=Reply(403), wire=lambda _: connector.accept([row(1)]) and None)
    report = connector.drain(service)
    assert len(service.posts) == 1
    assert report.queued >= 1


class Reads(PosixDisk):
    """The real disk without syncs. Counts how often a state is read."""

    states = 0

    def read(self, path: str) -> bytes:
        self.states += path.endswith("/state")
        return super().read(path)

    def _write(self, path: str, flags: int, data: bytes, offset: int, *, sync: bool) -> None:
        super()._write(path, flags, data, offset, sync=False)

    def _fsync(self, path: str, flags: int) -> None:
        return


def test_a_drain_reads_what_it_sends(tmp_path: Path) -> None:
    """Of a long queue a drain whose time is up reads the beginning; its first upload is always made."""
    disk = Reads()
    connector = Connector(disk, FakeClock(), rows=1, root=str(tmp_path))
    connector.accept([row(0)])
    os.utime(connector.outbox.ready()[0].path, (0, 0))  # the oldest, however fast the others were
    connector.clock.advance(1)  # batches of one moment go in the order of their ids, which are random
    connector.accept(row(number) for number in range(700))
    disk.states = 0
    service = FakeTransport()
    report = connector.sender(service).drain(until=connector.clock.monotonic())
    assert (report.sent, report.queued) == (1, 699)
    assert kept(service) == ["note 0"], "the oldest first"
    assert disk.states < 300
