"""An outbox on Azurite: batches from acceptance to receipt, and what a machine reads that has just started.

The service replies at once, in this process. Azurite is one process of Node, so it serves few requests at
once, whoever makes them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from irmcli.object_store import address
from irmcli.object_store.object_store import ObjectStore
from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.intake.accepted_there import AcceptedThere
from irmcore.intake.promotion import promote
from irmcore.outbox.on_store.replica import Replica
from irmcore.outbox.on_store.shared import SharedOutbox
from irmcore.store.store import Store

from benchmarks.table import Line
from benchmarks.timing import race
from tests.fakes.cloud_servers import Azurite, Token
from tests.fakes.connector import Connector, row
from tests.fakes.transport import FakeTransport

#: Rows of a batch: 10 kB.
ROWS = 150


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
    """One that accepts and sends through an address of its own."""

    def __init__(self, server: Azurite, scratch: Path) -> None:
        self.name = secrets.token_hex(4)
        self.store = Counting(store_of(server, self.name))
        self.shared = SharedOutbox(self.store, SystemClock(), f"az://account/container/{self.name}")
        self.shared.create()
        self._own = Connector(PosixDisk(), SystemClock(), rows=ROWS, root=str(scratch))
        self._own.outbox.path = f"{scratch}/{self.name}"

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
    where = address.parse(server.address(prefix))
    return ObjectStore(where, {"IRMEXPORT_CA_FILE": str(server.ca_file)}, credential=Token)


def measure(scratch: Path, *, batches: int, days: int, rounds: int) -> Iterator[Line]:
    """The time of ``batches`` beside bare creates, and a start with so many days kept beside one of a day."""
    place = scratch / "azurite"
    place.mkdir()
    with Azurite(place) as server:
        sizes: list[int] = []

        def ours() -> dict[str, float]:
            machine = Machine(server, scratch)
            begin = time.perf_counter()
            machine.accept(0, batches * ROWS)
            assert machine.drain() == batches
            taken = time.perf_counter() - begin
            sizes[:] = machine.store.sizes
            return {"wall": taken}

        def bare() -> dict[str, float]:
            store = store_of(server, secrets.token_hex(4))
            begin = time.perf_counter()
            for number, size in enumerate(sizes or [100] * batches):
                store.create(f"v/{number:06}", b"x" * size)
            return {"wall": time.perf_counter() - begin}

        found = race({"ours": ours, "creates": bare}, rounds)
        values = f"{len(sizes)} values, {sum(sizes) / 1e6:.1f} MB"
        yield Line(
            f"outbox on Azurite, {batches} batches of {ROWS} rows accepted and sent",
            f"bare creates of as many values and bytes, one by one ({values})",
            found.ratio("ours", "creates"), 0.4, 0.8,
            *(f"{batches / found.of[name]['wall']:.0f} batches/s" for name in ("ours", "creates")),
            details=dict(found.of),
        )  # fmt: skip
        few, many = (_kept(server, scratch, number) for number in (1, days))
        starts = race({"many": lambda: _start(many), "one": lambda: _start(few)}, rounds)
        yield Line(
            f"a drain that finds one batch, with {days} days kept", "the same with one day kept",
            1 / starts.ratio("many", "one"), 1.5, 1.1,
            *(f"{starts.of[name]['wall'] * 1000:.0f} ms" for name in ("many", "one")), least=False,
            details=dict(starts.of),
        )  # fmt: skip


def _kept(server: Azurite, scratch: Path, days: int) -> Machine:
    """A machine whose outbox has two sent batches for each day."""
    machine = Machine(server, scratch)
    machine.accept(0, ROWS)
    machine.drain()
    records = {key: machine.store.get(key) or b"" for key in machine.store.keys("")}
    sent = [key for key in records if key.startswith(("batch/", "state/", "audit/", "log/"))]

    def copy(number: int) -> None:
        for key in sent:
            folder, _, rest = key.partition("/")
            name = f"{number:014x}{rest[14:]}" if folder in ("batch", "state") else None
            if folder == "audit":
                name = f"{10**12 - 100 + number:012}"  # older than all that there are
            if name is not None:
                machine.store.create(f"{folder}/{name}", records[key])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(copy, range(2 * days)))
    return machine


def _start(machine: Machine) -> dict[str, float]:
    first = int(time.time() * 1000)
    machine.accept(first, 1)
    begin = time.perf_counter()
    assert machine.drain() == 1
    return {"wall": time.perf_counter() - begin}
