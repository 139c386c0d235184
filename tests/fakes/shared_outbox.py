"""An outbox on the store in memory, the batches that a member has put there, and machines that send them."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from irmcore.clock import Clock
from irmcore.counts import Counts
from irmcore.disk import Lock, Place
from irmcore.outbox import Destination, Manifest
from irmcore.outbox import identity as identity_file
from irmcore.outbox import manifest as manifests
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.on_store import layout, records
from irmcore.outbox.on_store.commit_log import CommitLog, Draft
from irmcore.outbox.on_store.replica import Replica
from irmcore.outbox.outbox import AUDIT_LOG
from irmcore.store import Store

from tests.fakes.clock import FakeClock
from tests.fakes.connector import ORIGIN, ROOT, Connector
from tests.fakes.powerloss import PowerLossDisk
from tests.fakes.store import MemoryService, MemoryStore, Plan, no_fault

WHERE = "az://account/container/purview-1"
DATE = "2026-11-20"
_THERE = Place(layout.host_of(WHERE), "", None, None)


class SharedOutbox:
    """What all machines share: the store in ``memory``, and the clock."""

    def __init__(
        self,
        clock: FakeClock | None = None,
        *,
        rows: int = 1,
        in_doubt: str = "hold",
        ring: Keyring | None = None,
    ) -> None:
        self.memory = MemoryService()
        self.clock = clock or FakeClock()
        disk = PowerLossDisk()
        disk.make_dir(ROOT)
        self.member = Connector(disk, self.clock, rows=rows, in_doubt=in_doubt)
        self._put: set[str] = set()
        self.member.outbox.create()
        known = self.member.outbox.identity()
        assert known is not None
        store = MemoryStore(self.memory)
        if ring is not None:
            known = replace(known, id=ring.outbox)
            self.member.outbox.save_identity(known)
            self.member.outbox.save_keyring(ring)
        made = identity_file.encode(replace(known, **_THERE._asdict()))
        store.create(f"{layout.file_prefix('key')}{0:012}", self.member.outbox.read_file("key") or b"")
        store.create(f"{layout.file_prefix('outbox.json')}{0:012}", made)
        store.create(layout.event_key(1), self.member.outbox.read_file(AUDIT_LOG) or b"")

    @property
    def log(self) -> CommitLog:
        # Time passes, so that names are in order.
        return CommitLog(MemoryStore(self.memory, clock=self.clock, seconds=0.001), self.clock)

    def accept(self, lines: Iterable[str], *, run: str = "", first: str = "") -> list[str]:
        """Accept rows in one run; returns the ids of their batches. ``first``: their first state."""
        self.member.accept(lines)
        read = self.member.disk.read
        drafts = []
        for batch in self.member.outbox.ready():
            if batch.id not in self._put:
                parts = layout.payload_parts(read(f"{batch.path}/payload"))
                parts["manifest"] = read(f"{batch.path}/manifest.json")
                state = batch.state._replace(name=first) if first and batch.state else None
                given = state.as_record(batch.id) if state else None
                drafts.append(Draft(batch.id, parts, {DATE: read(f"{batch.path}/rowkeys")}, given))
                self._put.add(batch.id)
        self.log.accept(run or f"run{len(self.memory.changes)}", lambda _: drafts)
        return [draft.id for draft in drafts]

    def machine(
        self, plan: Plan = no_fault, *, kind: type[Replica] = Replica, where: str = WHERE
    ) -> Connector:
        """A machine with its own client of the store, on which ``plan`` decides what goes wrong."""
        return machine(MemoryStore(self.memory, plan), self.clock, kind=kind, where=where)

    def fork(self) -> SharedOutbox:
        """The same store once more, to try something on, with a clock of its own."""
        other = copy.copy(self)
        other.memory, other.clock = MemoryService(), FakeClock(self.clock.now())
        for key, value in self.memory.values.items():
            other.memory.change(key, value)
        return other

    def history(self, batch: str) -> list[str]:
        """The states of a batch on the store, oldest first, without a first READY."""
        return [str(record["name"]) for record in self.records(batch)]

    def records(self, batch: str) -> list[dict[str, Any]]:
        """The records of a batch's states, oldest first."""
        keys = sorted(key for key in self.memory.values if key.startswith("state/") and batch in key)
        return [dict(records.decode(self.memory.values[key])) for key in keys]

    def open(self) -> list[str]:
        """The ids of the batches without a receipt."""
        markers = {key: value for key, value in self.memory.values.items() if key.startswith("open/")}
        names = {name for key, value in markers.items() for name in layout.marked(key, records.decode(value))}
        return [layout.id_of(name) for name in sorted(names)]


def draft_of(ring: Keyring, rows: Iterable[str], rowkeys: Mapping[str, bytes]) -> Draft:
    """A batch of these lines of ``row``, which another outbox with the same key could have accepted."""
    lines = list(rows)
    payload = "\n".join(["User,When,Score,Note", *lines, ""]).encode("ascii")
    where = Destination("purview-indicators", {"cloud": "emulator", "job_id": "1"}, "hold")
    name = manifests.batch_id(ring, where, "text/csv", payload)
    manifest = Manifest(
        id=name,
        destination=where,
        content_type="text/csv",
        payload_check=ring.keyed(hashlib.sha256(payload).hexdigest()),
        payload_bytes=len(payload),
        rows=len(lines),
        rowkeys_sha256="",
        run="run",
        part=1,
        parts=1,
        accepted=0.0,
        origin=ORIGIN,
        profile={},
        counts=Counts(),
        tool="tests",
        generation=ring.newest,
    )
    parts = {"manifest": manifests.encode(manifest, ring), **layout.payload_parts(payload)}
    return Draft(name, parts, rowkeys)


class Unleased(Replica):
    """A replica whose sender takes no lease, as if all leases had just ended."""

    def sender_lock(self, *, takes_in: bool = False) -> Lock | None:
        self._read.clear()
        return self.disk.try_lock(f"{self.path}/sender.lock")


def machine(store: Store, clock: Clock, *, kind: type[Replica] = Replica, where: str = WHERE) -> Connector:
    """A machine that works on a replica, one call at a time."""
    outbox = kind(store, clock, where, at_once=1)
    found = Connector(outbox.disk, clock)
    found.outbox = outbox
    return found
