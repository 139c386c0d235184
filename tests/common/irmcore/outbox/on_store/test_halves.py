"""The halves of a batch that was promoted and too large: their row keys, and their rows once withdrawn."""

from __future__ import annotations

import csv
import hashlib
import io

import pytest
from irmcore.http.outcome import Reply
from irmcore.operations import operations
from irmcore.outbox import Batch, Outbox
from irmcore.outbox.batch_files import read_manifest, read_payload, read_rowkeys
from irmcore.outbox.rowkeys import unpack

from tests.common.irmcore.intake.test_promotion import Member, users
from tests.fakes.connector import Connector
from tests.fakes.powerloss import Killed
from tests.fakes.shared_outbox import machine
from tests.fakes.store import Fault, MemoryService, MemoryStore, Plan, no_fault
from tests.fakes.transport import FakeTransport

NAMES = ("anna", "ben", "carl", "dora")
#: Rows of two dates that alternate, as a source that is sorted by user has them.
ROWS = {name: f"{name}@contoso.com,2026-01-0{n % 2 + 5}T10:00:00Z,1,a\r\n" for n, name in enumerate(NAMES)}
ALL = "".join(ROWS.values())


def replica_of(member: Member, plan: Plan = no_fault) -> Connector:
    """What sends and decides on another machine."""
    found = machine(MemoryStore(member.service, plan), member.clock, where=member.shared.where)
    assert found.outbox.exists()
    return found


def split(member: Member, text: str = ALL) -> list[Batch]:
    """Promote rows in one batch, which the service refuses as too large; its halves."""
    member.send(text)
    replica_of(member).drain(FakeTransport(Reply(413), then=Reply(503)))
    member.clock.advance(60.0)
    found = list(replica_of(member).outbox.ready())
    assert len(found) == 2
    return found


def rows_of(outbox: Outbox, name: str) -> list[list[str]]:
    """The rows of a batch."""
    batch = outbox.get(name)
    payload = read_payload(outbox, batch, read_manifest(outbox, batch))
    return list(csv.reader(io.StringIO(payload.decode(), newline="")))[1:]


def accepts(member: Member) -> list[str]:
    """Of whom a run accepts rows now, which is forgotten again."""
    found = []
    for name, row in ROWS.items():
        member = Member(member.service, f"probe-{name}")
        found += [name] if member.accept(row).counts.shaped else []
    return found


def test_the_row_keys_of_a_half_are_those_of_its_rows() -> None:
    """Though the batch has rows of several dates, whose row keys the store has by date."""
    member = Member(MemoryService(), "one")
    alone = Member(MemoryService(), "alone")
    key_of = {}
    for name, row in ROWS.items():
        (batch,) = map(alone.outbox.get, alone.accept(row).batches)
        (key_of[name],) = [found.key for found in unpack(read_rowkeys(alone.outbox, batch))]
    for batch in split(member):
        outbox = replica_of(member).outbox
        found = unpack(read_rowkeys(outbox, outbox.get(batch.id)))
        assert [row.key for row in found] == [key_of[name] for name in users(rows_of(outbox, batch.id))]


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("which", [0, 1])
def test_the_rows_of_a_withdrawn_half_are_new_again(which: int, indexed: bool) -> None:  # noqa: FBT001
    """Those of the other half are not; and once they are accepted again, they are known."""
    member = Member(MemoryService(), "one")
    half = split(member)[which]
    if indexed:
        member.shared.log.index()
    gone = users(rows_of(replica_of(member).outbox, half.id))
    assert accepts(member) == []
    operations.resolve(replica_of(member).outbox, half.id, "withdraw", who="anna", why="so")
    assert accepts(member) == gone
    member.send("".join(ROWS[name] for name in gone))
    assert accepts(member) == []
    if indexed:
        member.shared.log.index()
        assert accepts(member) == []


def test_both_halves_may_be_withdrawn_and_the_whole_accepted_again() -> None:
    """As the batch that it was, with equal row keys; and sent."""
    member = Member(MemoryService(), "one")
    for half in split(member):
        operations.resolve(replica_of(member).outbox, half.id, "withdraw", who="anna", why="so")
    assert accepts(member) == list(NAMES)
    done, promoted = member.send(ALL)
    assert done.counts.shaped == 4
    assert promoted is not None
    assert accepts(member) == []
    service = FakeTransport()
    assert replica_of(member).drain(service).rows_sent == 4
    assert accepts(member) == []


def test_a_half_that_a_killed_sender_began_fits_together() -> None:
    """Whoever completes it: its manifest has the check of the row keys that are there."""
    at = 0
    while True:
        member = Member(MemoryService(), "one")
        member.send(ALL)
        created = 0

        def plan(verb: str, key: str, at: int = at) -> Fault | None:
            nonlocal created
            created += verb == "create"
            return Fault.KILLED_AFTER if verb == "create" and created == at + 1 else None

        try:
            replica_of(member, plan).drain(FakeTransport(Reply(413), then=Reply(503)))
            killed = False
        except Killed:
            killed = True
        member.clock.advance(1_000.0)
        replica_of(member).drain(FakeTransport(Reply(413), then=Reply(503)))
        member.clock.advance(1_000.0)
        outbox = replica_of(member).outbox
        for batch in outbox.ready():
            manifest = read_manifest(outbox, batch)
            data = outbox.disk.read(f"{batch.path}/rowkeys")
            assert hashlib.sha256(data).hexdigest() == manifest.rowkeys_sha256, at
        if not killed:
            return
        at += 1
