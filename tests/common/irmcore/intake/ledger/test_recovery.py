"""The row ledger after an interruption: withdrawn rows are new again, and all others are known."""

from __future__ import annotations

from collections import Counter

import pytest
from irmcore.counts import Counts
from irmcore.http.outcome import Reply
from irmcore.intake.ledger.index import MERGE_ROWS, in_parts
from irmcore.operations.operations import resolve
from irmcore.outbox.rowkeys import RECORD

from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, notes, notes_of, row
from tests.fakes.powerloss import Killed, PowerLossDisk
from tests.fakes.transport import FakeTransport

LINES = [row(number, day=20 + number % 2) for number in range(4)]
LEDGER = "/outbox/small/ledger"


def connector_on(disk: PowerLossDisk | None = None) -> tuple[PowerLossDisk, Connector]:
    """A connector whose batches have at most four rows."""
    if disk is None:
        disk = PowerLossDisk()
        disk.make_dir("/outbox")
    return disk, Connector(disk, FakeClock(), rows=4)


def withdrawn(connector: Connector, state: str) -> list[str]:
    """Withdraw the one batch in this state; returns the notes of its rows."""
    (found,) = [b for b in connector.outbox.ready() if b.state is not None and b.state.name == state]
    rows = list(connector.notes(state))
    resolve(connector.outbox, found.id, "withdraw", who="anna", why="wrong file")
    return rows


@pytest.mark.parametrize("rebuilt", [False, True])
def test_the_rows_of_a_withdrawn_half_are_new(*, rebuilt: bool) -> None:
    """A split batch adds nothing to a rebuilt ledger: its halves do, except for a withdrawn one."""
    disk, connector = connector_on()
    connector.accept(LINES)
    connector.drain(FakeTransport(Reply(413), Reply(200), Reply(400)))
    gone = withdrawn(connector, "DEAD")
    for _ in range(2):
        if rebuilt:
            disk.remove_tree(LEDGER)
        _, again = connector_on(disk.synced())
        assert again.accept(LINES).counts == Counts(read=4, shaped=2, skipped=2)
        assert sorted(again.notes("READY")) == sorted(gone)
        rebuilt = True


def test_a_split_that_was_killed_leaves_its_rows_known() -> None:
    """Whatever part of a split was done, a rebuilt ledger knows the batch's rows, and each goes out once."""
    number = 0
    while True:
        number += 1
        disk, connector = connector_on()
        connector.accept(LINES)
        service = FakeTransport(Reply(413))
        disk.kill_at = disk.operations + number
        try:
            connector.drain(service)
        except Killed:
            disk, connector = connector_on(disk.fork())
            disk.remove_tree(LEDGER)
            connector.clock.sleep(1.0)  # so that the new row's batch is the later one
            assert connector.accept([*LINES, row(9)]).counts == Counts(read=5, shaped=1, skipped=4), number
            states = [state.split()[1] for state in connector.states().values()]
            if "COMMIT" in states or "INTENT" in states:
                continue  # the upload itself was cut: tests of delivery say what then holds
            connector.drain(service)
            kept = Counter(note for file in service.kept for note in notes(file))
            assert kept == Counter(notes_of([*LINES, row(9)])), number
        else:
            break
    assert number > 20


@pytest.mark.parametrize("removed", [False, True])
def test_a_withdrawal_before_an_interrupted_run_is_merged(*, removed: bool) -> None:
    """A run that was killed after its acceptance is merged without what was withdrawn since."""
    number, withdrawals = 0, 0
    while True:
        number += 1
        disk, connector = connector_on()
        connector.accept([row(8)])
        disk.kill_at = disk.operations + number
        try:
            connector.accept([*LINES, row(7)])
        except Killed:
            disk, connector = connector_on(disk.fork())
            ready = [b for b in connector.outbox.ready() if read_rows(connector, b.id) == notes_of(LINES)]
            for batch in ready:
                resolve(connector.outbox, batch.id, "withdraw", who="anna", why="wrong file")
                withdrawals += 1
            if removed:
                disk.remove_tree(LEDGER)
            known = set(connector.notes("READY"))
            done = connector.accept([*LINES, row(7), row(8)]).counts
            assert (done.skipped, done.shaped) == (len(known), 6 - len(known)), number
            assert max(connector.accepted_keys().values()) == 1
        else:
            break
    assert withdrawals > 3


def test_a_withdrawal_that_was_killed_is_finished() -> None:
    """The next run takes the rows as new if the batch is withdrawn, and as known if it is not."""
    number, states = 0, set()
    while True:
        number += 1
        disk, connector = connector_on()
        connector.accept([*LINES, row(7)])
        disk.kill_at = disk.operations + number
        batch = next(b for b in connector.outbox.ready() if read_rows(connector, b.id) == notes_of(LINES))
        try:
            resolve(connector.outbox, batch.id, "withdraw", who="anna", why="wrong file")
        except Killed:
            disk, connector = connector_on(disk.fork())
            found = connector.outbox.get(batch.id)
            assert found.state is not None
            states.add(found.state.name)
            new = 4 if found.state.name == "WITHDRAWN" else 0
            counts = connector.accept([*LINES, row(7)]).counts
            assert counts == Counts(read=5, shaped=new, skipped=5 - new), number
        else:
            break
    assert states == {"READY", "WITHDRAWN"}


def read_rows(connector: Connector, name: str) -> list[str]:
    """The notes of one batch's rows, in order."""
    payload = connector.disk.read(f"{connector.outbox.get(name).path}/payload")
    return notes(payload)


def test_large_merges_are_divided_without_loss() -> None:
    """Parts hold whole batches, about 60,000 rows each, and every record once and in order."""
    batches = [
        bytes([number]) * (RECORD.size * rows) for number, rows in enumerate((59_999, 1, 1, 0, 60_001, 7))
    ]
    parts = list(in_parts(batches))
    assert b"".join(parts) == b"".join(batches)
    assert [len(part) // RECORD.size for part in parts] == [60_000, 60_002, 7]
    assert MERGE_ROWS == 60_000
    assert list(in_parts([b"", b""])) == []
