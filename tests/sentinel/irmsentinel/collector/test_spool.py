"""A collector's rows and cursor in an outbox on a store."""

from __future__ import annotations

import json
from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.intake.promotion import promote
from irmcore.outbox import Origin, Outbox
from irmcore.outbox.on_store.replica import Replica
from irmcore.outbox.on_store.shared import SharedOutbox
from irmcore.profile.model import CredentialRef
from irmsentinel.azure.target import Target
from irmsentinel.collector import cursor
from irmsentinel.collector.acceptance import Acceptance
from irmsentinel.collector.records import Row
from irmsentinel.collector.spool import Spool

from tests.fakes.store import MemoryService, MemoryStore


def test_a_cursor_with_many_blobs_fits_into_a_value_and_names_the_newest() -> None:
    """A value of a store has 1 MiB. The other blobs are fetched again, and their records are skipped."""
    store, clock = MemoryStore(MemoryService()), SystemClock()
    SharedOutbox(store, clock, "memory/collector").create()
    contents = {cursor.digest(str(number)): 1_700_000_000 + number for number in range(40_000)}
    writer = Replica(store, clock, "memory/collector", at_once=1)
    cursor.load(writer)
    cursor.store(writer, cursor.Cursor(collected=1_700_050_000, contents=contents))
    found = cursor.load(Replica(store, clock, "memory/collector", at_once=1))
    assert found.collected == 1_700_050_000
    assert min(found.contents.values()) == 1_700_025_000
    assert len(found.contents) == 15_000


def rows(*names: str) -> list[Row]:
    """Rows of records of one day."""
    return [
        Row(json.dumps({"RecordId": name}).encode(), name.encode().ljust(16), 20_000, 0) for name in names
    ]


def test_a_record_that_two_machines_read_at_once_is_there_once(tmp_path: Path) -> None:
    """Neither knew of the other's while it accepted; the later promotion takes out what the first brought."""
    service, clock = MemoryService(), SystemClock()
    target = Target(
        "irm", "tenant", "", "public", CredentialRef("env", "SECRET"), "https://host", "dcr-1", "s"
    )
    promotions = []
    for name, read in (("one", rows("a", "b")), ("two", rows("b", "c")), ("three", rows("a", "b"))):
        shared = SharedOutbox(MemoryStore(service), clock, "memory/collector")
        own = Outbox(system_disk(), clock, str(tmp_path / name))
        own.create()
        Acceptance(Spool(own, own), target, "").accept(read, run=name, origin=Origin("anna", "host", "cli"))
        promotions.append((own, shared))
    found = [promote(own, shared)[0].known for own, shared in promotions]
    assert found == [0, 1, 2]
    replica = Replica(MemoryStore(service), clock, "memory/collector", at_once=1)
    payloads = [json.loads(replica.disk.read(f"{batch.path}/payload")) for batch in replica.ready()]
    assert sorted(row["RecordId"] for payload in payloads for row in payload) == ["a", "b", "c"]
