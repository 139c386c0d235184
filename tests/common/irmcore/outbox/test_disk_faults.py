"""If one file is damaged or unreadable, only its batch is affected; the others are sent.

Damage is written to real files (PosixDisk on a temporary directory). A fault of the disk is a disk that
fails chosen paths.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker
from irmcore.disk import PosixDisk
from irmcore.errors import BatchUnwritable, IrmError
from irmcore.http.outcome import Failure, Reply
from irmcore.operations import operations
from irmcore.operations.audit import audit
from irmcore.operations.connectors import Connectors
from irmcore.operations.status import connector_status
from irmcore.outbox import Outbox
from irmcore.outbox.transitions import quarantine, write_state

from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, notes, row
from tests.fakes.powerloss import PowerLossDisk
from tests.fakes.transport import FakeTransport

LINES = [row(number) for number in range(6)]
NOTES = [f"note {number}" for number in range(6)]


def connector_at(root: Path, *, in_doubt: str = "hold") -> Connector:
    """A connector with an outbox on the real disk under ``root``."""
    return Connector(PosixDisk(), FakeClock(), root=str(root), in_doubt=in_doubt)


def copy_of(whole: Path, root: Path) -> None:
    """Copy an outbox to ``root``, as if it had been made there."""
    shutil.copytree(whole, root)
    outbox = connector_at(root).outbox
    identity = outbox.identity()
    assert identity is not None
    outbox.save_identity(replace(identity, **outbox.disk.place(outbox.path)._asdict()))


def sent_by(*services: FakeTransport) -> list[str]:
    """The notes of the rows that the services have kept, sorted."""
    return sorted(note for service in services for file in service.kept for note in notes(file))


# -- damage of any kind to any file -----------------------------------------------------------------


@pytest.fixture(scope="module")
def whole() -> Iterator[Path]:
    """An outbox with three batches of two rows: one sent, one refused, one queued."""
    with tempfile.TemporaryDirectory() as folder:
        connector = connector_at(Path(folder))
        connector.accept(LINES)
        connector.drain(FakeTransport(Reply(200), Reply(400), Reply(503)))
        yield Path(folder)


def files_of(root: Path) -> list[str]:
    """The files of an outbox, without the locks, which are empty."""
    found = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    return sorted(name for name in found if not name.endswith(".lock"))


DAMAGE = st.tuples(
    st.sampled_from(["flip", "cut", "grow", "zero", "remove", "other"]),
    st.integers(0, 1 << 20),
    st.integers(0, 7),
    st.binary(min_size=1, max_size=64),
)


def damaged(data: bytes, kind: str, at: int, bit: int, noise: bytes) -> bytes | None:
    """``data`` after one kind of damage; None if the file is removed."""
    at %= max(len(data), 1)
    if kind == "flip" and data:
        return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
    if kind == "cut":
        return data[:at]
    if kind == "grow":
        return data + noise
    if kind == "zero":
        return data[:at] + bytes(len(data) - at)
    if kind == "remove":
        return None
    return noise


@pytest.mark.parametrize(
    "examples", [60, pytest.param(1_500, marks=[pytest.mark.faults, pytest.mark.timeout(900)])]
)
def test_any_damage_to_any_file_harms_nothing_else(whole: Path, examples: int) -> None:
    """Whatever happens to one file, each row of the others is sent once, and nothing altered."""
    settings(max_examples=examples)(given(st.just(whole), st.integers(0, 200), DAMAGE)(one_damage))()


def one_damage(whole: Path, chosen: int, damage: tuple[str, int, int, bytes]) -> None:
    """One damaged file, and what must hold after it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "outbox")
        copy_of(whole, root)
        names = files_of(root)
        name = names[chosen % len(names)]
        data = damaged((root / name).read_bytes(), *damage)
        if data is None:
            (root / name).unlink()
        else:
            (root / name).write_bytes(data)
        check_the_rest(root, name, forgets=name.endswith(".rows") and damage[0] in FORGETTING)


#: Damage to the row ledger that looks like rows that were never accepted (docs/delivery.md, limits).
FORGETTING = ("cut", "zero", "remove")


def check_the_rest(root: Path, name: str, *, forgets: bool) -> None:
    """Assert the promise after damage to the file ``name``."""
    connector = connector_at(root)
    connector.clock.sleep(86_400.0)
    of_batch = [part for part in name.split("/") if len(part) == 64]
    others = {batch.id for batch in connector.outbox.all_batches()} - set(of_batch)
    service = FakeTransport()
    if load_breaker(connector.outbox)[0] == circuit_breaker.DAMAGED:
        assert name == "small/breaker"
        assert connector.drain(service).queued == 1
        operations.resume(connector.outbox, who="me", why="checked")
    try:
        connector.drain(service)
        connector.accept(LINES)
        connector.drain(service)
    except (IrmError, FileNotFoundError):
        # These concern the whole outbox, not one batch: nothing was sent.
        assert name in ("small/FORMAT", "small/outbox.json")
        assert service.posts == []
        return
    seen = sent_by(service)
    assert set(seen) <= set(NOTES), "something was sent that was never accepted"
    states = connector.states()
    for batch in others:
        assert states[batch].split()[1] in ("SENT", "DEAD"), (name, states)
    if not forgets:
        assert len(seen) == len(set(seen))
    connectors = Connectors(connector.disk, connector.clock, str(root))
    connector_status(connector.outbox)
    assert {event.get("batch") for event in audit(connectors.outboxes(), 0.0)} >= others


@pytest.mark.parametrize("file", ["payload", "manifest.json", "state"])
def test_damage_to_a_queued_batch_sets_it_aside(whole: Path, tmp_path: Path, file: str) -> None:
    """The batch whose file was damaged is quarantined and never sent; the others are sent."""
    root = tmp_path / "outbox"
    copy_of(whole, root)
    connector = connector_at(root)
    connector.clock.sleep(86_400.0)
    (queued,) = [b for b in connector.outbox.ready() if b.state is not None and b.state.name == "RETRY"]
    Path(queued.path, file).write_bytes(b"\x01" * 100)
    connector.accept([row(9)])
    service = FakeTransport()
    report = connector.drain(service)
    assert (report.quarantined, report.sent, sent_by(service)) == (1, 1, ["note 9"])
    assert connector.states()[queued.id].startswith("quarantine")


@pytest.mark.parametrize("name", ["state", "payload", "manifest.json"])
def test_a_directory_where_a_file_should_be(tmp_path: Path, name: str) -> None:
    """A directory where a batch's file should be affects only that batch."""
    connector = connector_at(tmp_path)
    first, _, _ = connector.accept(LINES).batches
    path = Path(connector.outbox.path, "ready", first, name)
    path.unlink(missing_ok=True)
    path.mkdir()
    service = FakeTransport()
    connector.drain(service)
    assert sent_by(service) == NOTES[2:]


# -- the disk fails one path ------------------------------------------------------------------------


class Failing(PosixDisk):
    """The real disk, except that some operations on paths with this end fail with ``code``.

    ``left`` is how often they will still fail.
    """

    def __init__(self, code: int, kinds: tuple[str, ...], *ends: str, left: int = 1 << 30) -> None:
        self.code, self.kinds, self.ends, self.left = code, kinds, ends, left
        self.on = True

    def _check(self, kind: str, path: str) -> None:
        if self.on and self.left and kind in self.kinds and path.endswith(self.ends):
            self.left -= 1
            raise OSError(self.code, os.strerror(self.code), path)

    def read(self, path: str) -> bytes:
        self._check("read", path)
        return super().read(path)

    def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None:
        self._check("write", path)
        super().write_at(path, offset, data)
        if sync:
            self.sync(path)

    def sync(self, path: str) -> None:
        self._check("sync", path)
        super().sync(path)


def queued(tmp_path: Path) -> tuple[Connector, str]:
    """A connector with three batches in its queue, and the id of the first."""
    connector = connector_at(tmp_path)
    return connector, connector.accept(LINES).batches[0]


def on(disk: PosixDisk, connector: Connector, root: Path) -> Connector:
    """The same connector through another disk."""
    return Connector(disk, connector.clock, root=str(root))


@pytest.mark.parametrize("code", [errno.EIO, errno.EBADMSG])
@pytest.mark.parametrize("name", ["state", "payload", "manifest.json"])
def test_a_file_that_the_disk_cannot_read(tmp_path: Path, name: str, code: int) -> None:
    """A batch that cannot be read is quarantined, the others are sent. Once readable, it can be requeued."""
    connector, first = queued(tmp_path)
    disk = Failing(code, ("read",), f"{first}/{name}")
    failing = on(disk, connector, tmp_path)
    service = FakeTransport()
    report = failing.drain(service)
    assert (report.quarantined, report.sent, report.trouble) == (1, 2, "damaged")
    assert sent_by(service) == NOTES[2:]
    assert [item.state for item in connector_status(failing.outbox).items] == ["QUARANTINED"]
    disk.on = False
    operations.requeue(failing.outbox, first, who="me", why="the disk was changed")
    assert failing.drain(service).sent == 1
    assert sent_by(service) == NOTES


@pytest.mark.parametrize("name", ["state", "payload", "manifest.json"])
def test_a_file_that_this_user_may_not_read(tmp_path: Path, name: str) -> None:
    """A batch with wrong modes is left, the others are sent. Once corrected, it is sent."""
    connector, first = queued(tmp_path)
    disk = Failing(errno.EACCES, ("read",), f"{first}/{name}")
    failing = on(disk, connector, tmp_path)
    service = FakeTransport()
    for _ in range(2):
        report = failing.drain(service)
        assert (report.quarantined, report.queued, report.trouble) == (0, 1, "no-permission")
    assert sent_by(service) == NOTES[2:]
    connector_status(failing.outbox)
    disk.on = False
    assert failing.drain(service).sent == 1
    assert sent_by(service) == NOTES


@pytest.mark.parametrize("kinds", [("write",), ("sync",), ("write", "sync")])
def test_a_state_that_can_never_be_written(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    """Each drain reports a batch whose state always fails, never sends it, and sends the others."""
    connector, first = queued(tmp_path)
    disk = Failing(errno.EIO, kinds, f"{first}/state")
    failing = on(disk, connector, tmp_path)
    services = []
    for number in range(3):
        failing.accept([row(10 + number)])
        services.append(FakeTransport())
        report = failing.drain(services[-1])
        assert (report.queued, report.trouble) == (1, "disk-error")
        assert all(not post.content.count(b"note 0") for post in services[-1].posts)
    assert sent_by(*services) == sorted([*NOTES[2:], "note 10", "note 11", "note 12"])
    assert load_breaker(failing.outbox)[0].mode == circuit_breaker.CLOSED
    disk.on = False
    assert failing.drain(services[0]).sent == 1


def test_a_batch_that_cannot_be_split_costs_no_staging_directory(tmp_path: Path) -> None:
    """If row keys cannot be read, the split is postponed and no staging directory stays in use."""
    connector, first = queued(tmp_path)
    disk = Failing(errno.EIO, ("read",), f"{first}/rowkeys")
    failing = on(disk, connector, tmp_path)
    service = FakeTransport(Reply(413))
    for _ in range(4):
        failing.drain(service)
    assert sent_by(service) == NOTES[2:]
    directories = sorted(path.name for path in Path(failing.outbox.path, "tmp").iterdir())
    assert directories == ["0", "0.lock", "1", "1.lock"]
    disk.on = False
    assert failing.drain(service).sent == 2
    assert sent_by(service) == NOTES


def test_a_receipt_that_cannot_be_written_is_in_doubt(tmp_path: Path) -> None:
    """If SENT cannot be written, the batch is in doubt and never sent again; the others are sent."""
    connector, first = queued(tmp_path)

    class NoReceipt(PosixDisk):
        def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None:
            if path.endswith(f"{first}/state") and b'"SENT"' in data:
                raise OSError(errno.EIO, "an error", path)
            super().write_at(path, offset, data, sync=sync)

    failing = on(NoReceipt(), connector, tmp_path)
    service = FakeTransport()
    report = failing.drain(service)
    assert (report.sent, report.trouble) == (2, "disk-error")
    assert failing.drain(service).held == 1
    assert sorted(failing.states().values()) == ["done SENT", "done SENT", "ready HELD"]
    assert sent_by(service) == NOTES


def test_a_breaker_that_cannot_be_written_costs_no_receipt(tmp_path: Path) -> None:
    """The receipt is written before the breaker, so an error of the breaker leaves no doubt."""
    connector, first = queued(tmp_path)

    class NoBreaker(PosixDisk):
        def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None:
            if path.endswith("/breaker"):
                raise OSError(errno.EIO, "an error", path)
            super().write_at(path, offset, data, sync=sync)

    service = FakeTransport()
    with pytest.raises(OSError, match="an error"):
        on(NoBreaker(), connector, tmp_path).drain(service)
    assert len(service.posts) == 1
    assert connector.states()[first] == "done SENT"
    connector.drain(service)
    assert sent_by(service) == NOTES


def test_a_disk_that_takes_no_receipt_does_not_put_the_queue_in_doubt(tmp_path: Path) -> None:
    """Receipts that cannot be written trip the breaker: two batches are in doubt, not all."""

    class NoReceipts(PosixDisk):
        def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None:
            if path.endswith("/state") and b'"SENT"' in data:
                raise OSError(errno.EIO, "an error", path)
            super().write_at(path, offset, data, sync=sync)

    connector = connector_at(tmp_path)
    connector.accept([row(number) for number in range(20)])
    failing = on(NoReceipts(), connector, tmp_path)
    service = FakeTransport()
    for _ in range(3):
        failing.drain(service)
    assert len(service.posts) == 2
    assert load_breaker(failing.outbox)[0].mode == circuit_breaker.TRIPPED


def test_an_error_of_one_state_names_its_batch() -> None:
    """Only an error of the file concerns one batch; a full or read-only disk concerns all."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock())
    (name,) = connector.accept(LINES[:2]).batches
    batch = connector.outbox.get(name)
    for code, kind in ((errno.EIO, BatchUnwritable), (errno.ENOSPC, OSError), (errno.EDQUOT, OSError)):
        disk.fail_at[disk.operations + 1] = code
        with pytest.raises(OSError, match=r".") as caught:
            write_state(connector.outbox, batch, name="INTENT")
        assert type(caught.value) is kind
        assert getattr(caught.value, "batch", name) == name


# -- a full disk, a quota, a read-only one ----------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_while_draining(tmp_path: Path, code: int) -> None:
    """On a disk that takes no new file, each queued batch is sent once and gets its receipt."""

    class Full(PosixDisk):
        def _fail(self, path: str) -> None:
            raise OSError(code, os.strerror(code), path)

        def create(self, path: str, data: bytes, *, sync: bool = False) -> None:
            self._fail(path)

        def append(self, path: str, data: bytes, *, sync: bool = False) -> None:
            self._fail(path)

        def make_dir(self, path: str) -> None:
            self._fail(path)

    connector, _ = queued(tmp_path)
    full = on(Full(), connector, tmp_path)
    service = FakeTransport()
    assert full.drain(service).sent == 3
    assert full.drain(service).sent == 0
    assert sent_by(service) == NOTES
    assert set(full.states().values()) == {"ready SENT"}
    connector.drain(service)
    assert set(connector.states().values()) == {"done SENT"}


# -- the clock --------------------------------------------------------------------------------------


@pytest.mark.parametrize("years", [1, -1])
@pytest.mark.parametrize("answer", [Reply(503, wait=3600.0), Reply(403), Failure("dns", committed=False)])
def test_a_clock_a_year_off(years: int, answer: Reply | Failure) -> None:
    """A clock that jumps by a year delays no queued batch by more than an hour, and loses none."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    clock = FakeClock()
    connector = Connector(disk, clock)
    connector.accept(LINES)
    connector.drain(FakeTransport(then=answer))
    clock.set_back(-years * 365 * 86_400.0)
    connector.accept([row(7)])
    service = FakeTransport()
    for _ in range(3):
        connector.drain(service)
        clock.advance(3600.0)
    assert sent_by(service) == [*NOTES, "note 7"]
    assert connector.accept([*LINES, row(7)]).counts.skipped == 7


# -- the ledger is rebuilt while the queue moves -----------------------------------------------------


class Meanwhile(PowerLossDisk):
    """A disk on which something else happens when chosen directories or files are read."""

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[int, Callable[[], object]] = {}
        self.watching = False
        self._looks = 0

    def _look(self) -> None:
        if not self.watching:
            return
        self._looks += 1
        event = self.events.pop(self._looks, None)
        if event is not None:
            self.watching = False  # what happens meanwhile is not counted
            event()
            self.watching = True

    def names(self, path: str) -> list[str]:
        self._look()
        return super().names(path)

    def exists(self, path: str) -> bool:
        self._look()
        return super().exists(path)

    def read(self, path: str) -> bytes:
        self._look()
        return super().read(path)


def rebuilt_meanwhile(events: dict[int, FakeTransport]) -> bool:
    """Rebuild the ledger while a sender drains at chosen reads, and check it. False if none drained."""
    disk = Meanwhile()
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock(), rows=4)
    connector.accept(LINES)
    disk.remove_tree("/outbox/small/ledger")
    disk.events = {look: partial(connector.drain, service) for look, service in events.items()}
    disk.watching = True
    counts = connector.accept([row(9), *LINES]).counts
    disk.watching = False
    assert (counts.skipped, counts.shaped) == (6, 1), list(events)
    assert max(connector.accepted_keys().values()) == 1, list(events)
    return any(service.posts for service in events.values())


@pytest.mark.parametrize(
    "answers", [(Reply(413),), (Reply(413), Reply(503, wait=0.0), Reply(200)), (Reply(413), Reply(400))]
)
def test_a_ledger_made_anew_while_a_batch_is_split(answers: tuple[Reply, ...]) -> None:
    """At whatever moment of a rebuild a sender splits and sends, no row counts as new."""
    number = 1
    while rebuilt_meanwhile({number: FakeTransport(*answers)}):
        number += 1
    assert number > 25


@pytest.mark.timeout(400)
@pytest.mark.parametrize("first", [1, *(pytest.param(n, marks=pytest.mark.faults) for n in (2, 3, 4))])
def test_a_ledger_made_anew_while_halves_move(first: int) -> None:
    """If a batch is split during a rebuild, and its halves are sent later, no half is missed."""
    split = (Reply(413), Reply(503, wait=0.0), Reply(503, wait=0.0))
    number = first
    while rebuilt_meanwhile({number: FakeTransport(*split)}):
        for later in range(number + 1, number + 12):
            rebuilt_meanwhile({number: FakeTransport(*split), later: FakeTransport()})
        number += 4
    assert number > 25


def test_every_batch_has_one_id_in_the_list() -> None:
    """The list of ids has each batch once, in whatever folder, and no foreign names."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock())
    connector.accept(LINES)
    connector.drain(FakeTransport(Reply(200), Reply(400)))
    outbox: Outbox = connector.outbox
    quarantine(outbox, next(b for b in outbox.ready() if b.state is not None and b.state.name == "DEAD"))
    disk.create(f"{outbox.path}/ready/README", b"x")
    ids = list(outbox.ids())
    assert len(ids) == len(set(ids)) == 3
    assert set(ids) == {batch.id for batch in outbox.all_batches()}
