"""An outbox on Azurite: batches from acceptance to receipt, and what a machine reads that has just started.

The service replies at once, in this process. Azurite is one process of Node, so it serves few requests at
once, whoever makes them. The peer is obstore itself, without a line of irmexport.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import obstore
from irmcli.object_store import address
from irmcli.object_store.object_store import DEADLINE, ObjectStore, connect
from irmcore.clock import SystemClock
from irmcore.disk import Disk, FleetingDisk, PosixDisk
from irmcore.intake.accepted_there import AcceptedThere
from irmcore.intake.promotion import promote
from irmcore.outbox.on_store.replica import AT_ONCE, Replica
from irmcore.outbox.on_store.shared import SharedOutbox
from irmcore.store.at_once import AtOnce
from irmcore.store.store import Store

from benchmarks.table import Line
from benchmarks.timing import race
from tests.fakes.cloud_servers import Azurite, Token
from tests.fakes.connector import Connector, row
from tests.fakes.kept_days import kept_days
from tests.fakes.store import MemoryService, MemoryStore
from tests.fakes.transport import FakeTransport

#: Rows of a batch: 10 kB.
ROWS = 150
#: Seconds that a call of the store in memory takes, as one of a store in the same region may.
CALL = 0.01
#: The part of a store with this name.
Stores = Callable[[str], Store]


class Counting:
    """A store that notes the size of every value that is created on it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.sizes: list[int] = []
        self.get, self.keys, self.delete = store.get, store.keys, store.delete

    def create(self, key: str, value: bytes) -> bool:
        self.sizes.append(len(value))
        return self._store.create(key, value)


class Machine:
    """One that has just started, with an empty directory on ``disk``, at an address that may be new."""

    def __init__(self, stores: Stores, scratch: Path, disk: Disk, name: str = "") -> None:
        self.name = name or secrets.token_hex(4)
        self.store = Counting(stores(self.name))
        where = f"az://account/container/{self.name}"
        self.shared = SharedOutbox(self.store, SystemClock(), where, at_once=AT_ONCE)
        self.shared.create()
        self._own = Connector(disk, SystemClock(), rows=ROWS, root=str(scratch))
        self._own.outbox.path = f"{scratch}/{self.name}-{secrets.token_hex(4)}"

    def accept(self, first: int, rows: int) -> None:
        there = AcceptedThere(self.shared)
        run = self._own.accept(map(row, range(first, first + rows))).run
        promote(self._own.outbox, self.shared, run=run, there=there)

    def drain(self) -> int:
        outbox = Replica(self.store, SystemClock(), self.shared.where)
        sender = Connector(outbox.disk, outbox.clock)
        sender.outbox = outbox
        return sender.drain(FakeTransport()).sent if outbox.exists() else 0


def store_of(server: Azurite, prefix: str) -> ObjectStore:
    """A part of the server's container."""
    return ObjectStore(address.parse(server.address(prefix)), _environment(server), credential=Token)


def _environment(server: Azurite) -> dict[str, str]:
    return {"IRMEXPORT_CA_FILE": str(server.ca_file)}


def _bare(server: Azurite, sizes: list[int]) -> dict[str, float]:
    """Create values of these sizes with obstore alone, one after the other."""
    where = address.parse(server.address(secrets.token_hex(4)))
    store = connect(where, _environment(server), Token(), DEADLINE)
    begin = time.perf_counter()
    for number, size in enumerate(sizes):
        obstore.put(store, f"v/{number:06}", b"x" * size, mode="create", use_multipart=False)
    return {"wall": time.perf_counter() - begin}


@contextmanager
def _azurite(scratch: Path) -> Iterator[Azurite]:
    """A new server, which has done each kind of request some hundred times and keeps nothing.

    A deletion in Azurite took 10 to 16 ms at 600 to 2,000 blobs, where a create took 0.7 once warm. Whether
    it grows with the blobs was not settled, so no contender inherits those of another.
    """
    place = scratch / f"azurite-{secrets.token_hex(4)}"
    place.mkdir()
    with Azurite(place) as server:
        store = store_of(server, "warm")
        for number in range(300):
            store.create(f"v/{number}", b"x" * 1_000)
            store.get(f"v/{number}")
            list(store.keys(f"v/{number}/"))
            store.delete(f"v/{number}")
        yield server


def measure(scratch: Path, *, batches: int, days: int, rounds: int) -> Iterator[Line]:
    """The time of ``batches`` beside bare creates, and a start with so many days kept beside one of a day."""
    yield from cold_starts(scratch, days=days, rounds=rounds)
    yield from _batches(scratch, batches=batches, rounds=rounds)


def _batches(scratch: Path, *, batches: int, rounds: int) -> Iterator[Line]:
    sizes: list[int] = []

    def ours(disk: Disk) -> dict[str, float]:
        with _azurite(scratch) as server:
            machine = Machine(partial(store_of, server), scratch, disk)
            begin = time.perf_counter()
            machine.accept(0, batches * ROWS)
            assert machine.drain() == batches
            taken = time.perf_counter() - begin
        sizes[:] = machine.store.sizes
        return {"wall": taken}

    def bare() -> dict[str, float]:
        with _azurite(scratch) as server:
            return _bare(server, sizes)

    ours(FleetingDisk())  # how many values there are, and of which sizes
    disks = {"left": FleetingDisk(), "kept": PosixDisk()}
    found = race({**{name: partial(ours, disk) for name, disk in disks.items()}, "creates": bare}, rounds)
    for name, host in (("left", "a Function app"), ("kept", "a machine with a durable directory")):
        yield Line(
            f"outbox on Azurite, {batches} batches of {ROWS} rows accepted and sent by {host}",
            "obstore creating as many values of the same sizes, one after the other "
            f"({len(sizes)} values, {sum(sizes) / 1e6:.1f} MB)",
            found.ratio(name, "creates"), 0.4, 0.8,
            *(f"{batches / found.of[one]['wall']:.0f} batches/s" for one in (name, "creates")),
            details=dict(found.of),
        )  # fmt: skip


def cold_starts(scratch: Path, *, days: int, rounds: int) -> Iterator[Line]:
    """A start with so many days kept beside one of a day, which makes the same calls."""
    for where, other, servers in (
        ("on Azurite", "on the same server", 1),
        ("on an Azurite of its own", "on another one", 2),
        (f"on a store in memory that takes {CALL * 1000:.0f} ms for a call", "on the same store", 0),
    ):
        with ExitStack() as stack:
            begun = [stack.enter_context(_azurite(scratch)) for _ in range(servers)]
            stores: list[Stores] = [partial(store_of, server) for server in begun] or [_in_memory()]
            starting = {"many": (stores[0], days), "one": (stores[-1], 1)}
            names = {key: _kept(place, scratch, kept) for key, (place, kept) in starting.items()}
            begin = {key: partial(_start, starting[key][0], scratch, name) for key, name in names.items()}
            starts = race(begin, rounds)
        yield Line(
            f"a machine that has just started accepts a row and sends it, with {days} days kept {where}",
            f"the same with one day kept, {other}",
            1 / starts.ratio("many", "one"), 1.5, 1.1,
            *(f"{starts.of[name]['wall'] * 1000:.0f} ms" for name in ("many", "one")), least=False,
            details=dict(starts.of),
        )  # fmt: skip


def _in_memory() -> Stores:
    services: dict[str, MemoryService] = defaultdict(MemoryService)
    return lambda name: MemoryStore(services[name], clock=SystemClock(), seconds=CALL)


def _kept(stores: Stores, scratch: Path, days: int) -> str:
    """The name of an outbox that has sent two batches on each of so many days."""
    machine = Machine(stores, scratch, FleetingDisk())
    machine.accept(0, ROWS)
    machine.drain()
    values = kept_days(machine.store, machine.shared.log, machine.shared.keyring, days)
    AtOnce(AT_ONCE).each(lambda key: machine.store.create(key, values[key]), values)
    return machine.name


def _start(stores: Stores, scratch: Path, name: str) -> dict[str, float]:
    """A machine without anything of its own accepts a row and sends it."""
    begin = time.perf_counter()
    machine = Machine(stores, scratch, FleetingDisk(), name)
    machine.accept(int(time.time() * 1000), 1)
    assert machine.drain() == 1
    return {"wall": time.perf_counter() - begin}
