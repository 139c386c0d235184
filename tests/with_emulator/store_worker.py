"""Workers whose outbox is on a store: each has a directory of its own, and a clock that may be ahead."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Mapping
from typing import ClassVar

from irmcli.object_store import address
from irmcli.object_store.object_store import ObjectStore
from irmcore.clock import Clock, SystemClock
from irmcore.delivery import connection as connections
from irmcore.errors import WaitError
from irmcore.intake.accept import accept
from irmcore.intake.accepted_there import AcceptedThere
from irmcore.intake.promotion import promote
from irmcore.outbox import Origin
from irmcore.outbox.on_store.replica import Replica
from irmcore.outbox.on_store.shared import SharedOutbox
from irmcore.shaping.readers import csv_table
from irmcore.store.prefixed import Prefixed
from irmcore.store.store import Store

from tests.fakes.cloud_servers import Token
from tests.fakes.shared_outbox import Unleased
from tests.fakes.unguarded import STATE, Unguarded
from tests.with_emulator.worker import HEADER, Worker, line

#: Seconds at most by which a create is delayed whose guard is out, so that another one comes first.
PROVOKED = 0.5


class Ahead(SystemClock):
    """The system's clock, some seconds ahead."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        return super().now() + self._seconds


def store_of(settings: Mapping[str, str], name: str) -> tuple[Store, str]:
    """A connector's part of the store in ``settings``, and its address."""
    where = address.parse(settings["store"])
    environment = {"IRMEXPORT_CA_FILE": settings["store_ca"]}
    store: Store = Prefixed(ObjectStore(where, environment, credential=Token), name)
    if "without" in settings:
        store = Unguarded(store, settings["without"], lambda: time.sleep(random.uniform(0.0, PROVOKED)))  # noqa: S311
    return store, f"{where}/{name}"


def replica_of(settings: Mapping[str, str], name: str, clock: Clock) -> Replica:
    """The outbox of a connector, to send and to decide about."""
    store, where = store_of(settings, name)
    return Replica(store, clock, where)


class StoreWorker(Worker):
    """A worker on a machine of its own, whose directory is under ``root``."""

    BUSY: ClassVar[tuple[type[Exception], ...]] = (WaitError,)
    PAUSE: ClassVar[float] = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        name = connections.outbox_name(self.connection)
        store, where = store_of(self.settings, name)
        clock = Ahead(self.ahead)
        self.own, self.own.clock = self.outbox, clock
        self.shared = SharedOutbox(store, clock, where)
        # A lease would keep senders apart, so that no state is claimed twice.
        kind = Unleased if self.settings.get("without") == STATE else Replica
        self.outbox = kind(store, clock, where)

    def accept(self, first: int, count: int) -> None:
        """Submit rows, and log when the store had them."""
        text = "\n".join([HEADER, *(line(number) for number in range(first, first + count)), ""])
        table = csv_table(io.BufferedReader(io.BytesIO(text.encode())), name="rows.csv")
        where, there = connections.destination(self.connection), AcceptedThere(self.shared)
        self.shared.create()
        origin = Origin("t", "h", "tests")
        run = accept(table, self.profile, self.own, origin, destination=where, there=there).run
        promote(self.own, self.shared, run=run, there=there)
        self.tell("accepted", first, count)
