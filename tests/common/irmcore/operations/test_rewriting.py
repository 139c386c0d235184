"""Migrate, rotate and repair: killed anywhere they can be run again, and nothing is lost or sent twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

import pytest
from irmcore.errors import DamageError, OperatorError, OutboxBusy, UnknownFormat
from irmcore.intake.commit import wait_for_intake_lock
from irmcore.operations import operations
from irmcore.operations.rewriting import migrate, repair, rotate
from irmcore.operations.verification import EVERYTHING, damages
from irmcore.outbox import Outbox
from irmcore.outbox.batch_files import read_manifest

from tests.common.irmcore.outbox import format_3
from tests.common.irmcore.outbox.outages import root
from tests.fakes.clock import FakeClock
from tests.fakes.connector import ROOT, Connector, notes, row
from tests.fakes.powerloss import Killed, PowerLossDisk
from tests.fakes.transport import FakeTransport

#: The rows of the fixture by what must become of them: certainly sent once more, or never again.
TO_SEND = [f"note {number}" for number in (22, 23, 24, 25, 30, 31, 32, 33, 40)]
IN_QUARANTINE = ["note 28", "note 29"]
NEVER_AGAIN = [*format_3.NOTES["sent"], "note 5", "note 20", "note 21", "note 26", "note 27"]
ROWS = [row(number) for number in (*range(6), *range(10, 12), *range(20, 34), 40)]


def old() -> PowerLossDisk:
    """A disk with the outbox of format 3, all durable."""
    disk = root()
    format_3.lay(disk)
    return disk.synced()


def outbox_on(disk: PowerLossDisk) -> Outbox:
    """The outbox on a disk, as a new process opens it."""
    return Connector(disk, FakeClock()).outbox


def check(disk: PowerLossDisk) -> None:
    """Assert that each row is sent once, held for a person, or was sent before."""
    clock = FakeClock()
    clock.advance(86_400.0)
    connector = Connector(disk, clock)
    assert list(damages(connector.outbox, EVERYTHING)) == []
    operations.resume(connector.outbox, who="me", why="checked")
    service = FakeTransport()
    connector.drain(service)
    skipped = connector.accept(ROWS).counts
    connector.drain(service)
    sent = Counter(note for file in service.kept for note in notes(file))
    again = ["note 10", "note 11"]  # withdrawn, so their rows are new
    queued = sorted([*TO_SEND, *again])
    assert sorted(sent.elements()) == queued, sent
    assert (skipped.skipped, skipped.shaped) == (len(ROWS) - 2, 2)
    assert sorted(connector.notes("HELD")) == ["note 20", "note 21", "note 26", "note 27"]
    assert sorted(connector.notes("DEAD")) == ["note 5"]


def test_a_migration_keeps_every_batch() -> None:
    """Each batch of format 3 has its state and folder afterwards, under an id that is keyed."""
    disk = old()
    outbox = outbox_on(disk)
    with pytest.raises(UnknownFormat, match="irmexport outbox migrate small"):
        outbox.check()
    migrate(outbox)
    states = Connector(disk, FakeClock()).states()
    wanted = {outbox.keyring.keyed(name): state for name, state in format_3.STATES.items()}
    assert states == wanted
    with pytest.raises(OperatorError, match="format 4 already"):
        migrate(outbox)
    # The queue is as it was, so the quarantined batch can be requeued.
    (quarantined,) = [name for name, state in states.items() if state.startswith("quarantine")]
    operations.requeue(outbox, quarantined, who="me", why="mended")
    check_requeued(disk)


def check_requeued(disk: PowerLossDisk) -> None:
    """As ``check``, with the batch of the quarantine among the queued ones."""
    TO_SEND.extend(IN_QUARANTINE)
    try:
        check(disk)
    finally:
        del TO_SEND[-2:]


def test_nothing_of_format_3_is_left_that_could_be_tried() -> None:
    """No old batch id, payload hash or row key is anywhere in a migrated outbox."""
    disk = old()
    before = dict(disk.medium.tree())
    secrets = set(format_3.STATES)
    for path, data in before.items():
        if path.endswith("/payload"):
            secrets.add(hashlib.sha256(data or b"").hexdigest())
        if path.endswith("/rowkeys"):
            secrets |= {(data or b"")[at : at + 16].hex() for at in range(8, len(data or b"") - 40, 44)}
    migrate(outbox_on(disk))
    for path, data in disk.synced().medium.tree():
        text = path.encode() + (data or b"") + (data or b"").hex().encode()
        assert not [secret for secret in secrets if secret.encode() in text], path


def each_kill(start: PowerLossDisk, act: Callable[[Outbox], object]) -> int:
    """Kill ``act`` at each operation, finish it on what is left, and check that; returns the kills."""
    number = 0
    while True:
        number += 1
        disk = start.fork()
        disk.kill_at = disk.operations + number
        try:
            act(outbox_on(disk))
        except Killed:
            lost = disk.fork().after_power_loss(1, seed=number) if number % 3 == 0 else [disk.fork()]
            for survivor in lost:
                outbox = outbox_on(survivor)
                try:
                    outbox.check()
                except UnknownFormat:
                    migrate(outbox)
                except DamageError:  # it says "interrupted"
                    repair(outbox)
                check(survivor)
        else:
            return number - 1


@pytest.mark.timeout(600)
def test_a_migration_that_is_killed_is_finished() -> None:
    """Killed at any operation, also with a power loss, a migration is finished by the next one."""
    assert each_kill(old(), migrate) > 150


@pytest.mark.timeout(600)
def test_a_rotation_that_is_killed_is_finished() -> None:
    """The same for a rotation of the key."""
    disk = old()
    migrate(outbox_on(disk))
    assert each_kill(disk.synced(), rotate) > 150


def test_a_rotation_needs_the_new_secret_for_everything() -> None:
    """After a rotation, all ids and row keys are under the new generation, and are found by their old id."""
    disk = old()
    migrate(outbox_on(disk))
    outbox = outbox_on(disk)
    before = set(outbox.ids())
    rotate(outbox)
    after = set(outbox_on(disk).ids())
    assert not before & after
    assert {outbox.keyring.keyed(name, 1) for name in before} == after
    check(disk)


def test_a_process_that_works_is_not_disturbed() -> None:
    """While another process holds a lock, nothing is rewritten."""
    disk = old()
    outbox = outbox_on(disk)
    for lock in (outbox.sender_lock, outbox.intake_lock):
        held = lock()
        assert held is not None
        with pytest.raises(OutboxBusy):
            migrate(outbox_on(disk))
        held.release()
    assert disk.read(f"{ROOT}/small/FORMAT") == b"irmexport outbox 3\n"


def test_row_keys_come_back_from_the_ledger() -> None:
    """Damaged row keys are reported, and `repair` restores them, so that nothing is accepted again."""
    disk = old()
    outbox = outbox_on(disk)
    migrate(outbox)
    sent = [found for found in outbox.done() if found.state and found.state.name == "SENT"]
    # The rows of a half name the batch that was split, so the ledger cannot tell them apart.
    batch = next(found for found in sent if "split_from" not in read_manifest(outbox, found).profile)
    disk.write_at(f"{batch.path}/rowkeys", 40, b"damage")
    (found,) = damages(outbox, EVERYTHING)
    assert found.where == f"{batch.path}/rowkeys"
    assert "irmexport outbox repair small" in found.next_step
    assert repair(outbox) == 1
    check(disk)


class Interrupted(FakeClock):
    """A clock whose first sleep is used by another process, which does ``meanwhile`` and ends."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def sleep(self, seconds: float) -> None:
        act, self.meanwhile = self.meanwhile, lambda: None
        act()
        super().sleep(seconds)


def delayed(disk: PowerLossDisk, held: str) -> Connector:
    """A connector whose next process waits for the lock ``held`` while another one rotates the key."""
    clock = Interrupted()
    lock = disk.try_lock(f"{ROOT}/small/{held}")
    assert lock is not None

    def release_and_rotate() -> None:
        lock.release()
        rotate(Connector(disk, FakeClock()).outbox)

    clock.meanwhile = release_and_rotate
    return Connector(disk, clock)


def test_a_sender_that_waited_while_the_key_was_rotated_uses_the_new_one() -> None:
    """It checks again once it has the lock, so it takes no batch for damaged."""
    disk = root()
    Connector(disk, FakeClock()).accept([row(1)])
    service = FakeTransport()
    connector = delayed(disk, "sender.lock")
    report = connector.sender(service).drain(wait=30.0)
    assert (report.sent, report.quarantined) == (1, 0)


def test_a_run_that_waited_while_the_key_was_rotated_uses_the_new_one() -> None:
    """Its batches are as all others, and the row ledger knows what was accepted before."""
    disk = root()
    Connector(disk, FakeClock()).accept([row(1)])
    connector = delayed(disk, "intake.lock")
    lock = wait_for_intake_lock(connector.outbox)
    lock.release()
    assert connector.outbox.keyring.newest == 2
    counts = connector.accept([row(1), row(2)]).counts
    assert (counts.skipped, counts.shaped) == (1, 1)
    assert connector.drain(FakeTransport()).sent == 2


def test_a_check_without_a_lock_never_writes_the_key() -> None:
    """A process that read the key before a rotation would put the earlier one back."""
    disk = root()
    connector = Connector(disk, FakeClock())
    connector.accept([row(1)])
    path = f"{connector.outbox.path}/key"
    disk.remove(path)
    connector.outbox.check()
    assert not disk.exists(path)
    connector.drain(FakeTransport())
    assert disk.exists(path)
