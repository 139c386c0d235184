"""A copy, a restored or moved outbox sends nothing until a person adopts it; a retired one never does."""

from __future__ import annotations

from functools import partial

import pytest
from irmcore.disk import Place
from irmcore.errors import DamageError, OperatorError, PlaceRefused
from irmcore.http.outcome import Reply
from irmcore.operations import operations
from irmcore.operations.adoption import adopt, retire
from irmcore.operations.queue_export import joined, queued_payloads
from irmcore.operations.rewriting import repair
from irmcore.operations.status import connector_status
from irmcore.outbox.audit_log import read

from tests.common.irmcore.outbox.outages import root
from tests.fakes.clock import FakeClock
from tests.fakes.connector import ROOT, Connector, notes, row
from tests.fakes.powerloss import PowerLossDisk
from tests.fakes.transport import FakeTransport

LINES = [row(number) for number in range(6)]


class Elsewhere(PowerLossDisk):
    """The same disk seen from another machine, or after a copy."""

    where = Place("another-machine", "ext4", None)

    def place(self, path: str) -> Place:
        return self.where


class Network(Elsewhere):
    where = Place("a-machine", "nfs4", None)


def made() -> Connector:
    """A connector with a sent batch, one in doubt, and a queued one."""
    connector = Connector(root(), FakeClock())
    connector.accept(LINES)
    connector.drain(FakeTransport(Reply(200), Reply(503), Reply(503)))
    connector.clock.sleep(7_200.0)
    return connector


def seen_from(kind: type[PowerLossDisk], connector: Connector) -> Connector:
    """The same connector on a disk of that kind."""
    disk = connector.disk
    assert isinstance(disk, PowerLossDisk)
    return Connector(kind(disk.synced().medium), connector.clock)


@pytest.mark.parametrize(
    ("kind", "said"), [(Elsewhere, "made on another machine"), (Network, "network file system")]
)
def test_nothing_is_accepted_or_sent_there(kind: type[PowerLossDisk], said: str) -> None:
    """A copy and an outbox on a network file system are refused, with what to do, before any change."""
    connector = seen_from(kind, made())
    service = FakeTransport()
    with pytest.raises(PlaceRefused, match=said) as refused:
        connector.drain(service)
    with pytest.raises(PlaceRefused, match=said):
        connector.accept([row(7)])
    assert not service.posts
    status = connector_status(connector.outbox)
    assert status.trouble == str(refused.value)
    assert status.queued == 2
    assert ("irmexport outbox adopt small" in status.trouble) == (kind is Elsewhere)


def test_no_outbox_is_made_on_a_network_file_system() -> None:
    """Nothing is created there."""
    disk = Network(root().medium)
    with pytest.raises(PlaceRefused, match="local disk"):
        Connector(disk, FakeClock()).accept(LINES)
    assert disk.names(ROOT) == []


def test_an_adopted_outbox_holds_what_it_had_queued() -> None:
    """The queue becomes HELD, a person decides, and new rows are accepted and sent."""
    connector = seen_from(Elsewhere, made())
    outbox = connector.outbox
    assert adopt(outbox, send=False, who="me", why="the machine died") == 2
    identity = outbox.identity()
    assert identity is not None
    assert (identity.epoch, identity.host) == (2, "another-machine")
    service = FakeTransport()
    connector.accept([row(7)])
    connector.drain(service)
    assert [notes(file) for file in service.kept] == [["note 7"]]
    assert sorted(connector.notes("HELD")) == ["note 2", "note 3", "note 4", "note 5"]
    assert [(event["event"], event["why"]) for event in read(outbox) if "epoch" in event] == [
        ("adopted", "the machine died")
    ]
    for batch in operations.held_since(outbox, 0.0):
        operations.resolve(outbox, batch.id, "resend", who="me", why="not in the log")
    connector.drain(service)
    assert len(service.kept) == 3
    with pytest.raises(OperatorError, match="where it was made"):
        adopt(outbox, send=False, who="me", why="again")


def test_the_only_copy_may_send() -> None:
    """With `--send` the queue is sent at once."""
    connector = seen_from(Elsewhere, made())
    assert adopt(connector.outbox, send=True, who="me", why="the disk was moved") == 0
    service = FakeTransport()
    connector.drain(service)
    assert len(service.kept) == 2


def test_an_adoption_that_is_killed_sends_nothing() -> None:
    """Until it is complete, the outbox stays refused; then it can be repeated."""
    connector = seen_from(Elsewhere, made())
    disk = connector.disk
    assert isinstance(disk, Elsewhere)
    for number in range(1, 6):
        disk.fail_at[disk.operations + number] = 5
        with pytest.raises(OSError, match="Input"):
            adopt(connector.outbox, send=False, who="me", why="died")
        with pytest.raises(PlaceRefused):
            connector.drain(FakeTransport())


def test_a_retired_outbox_never_sends() -> None:
    """It accepts and sends nothing, cannot be adopted, and its rows can be exported."""
    connector = made()
    retire(connector.outbox, who="me", why="moved to another machine")
    for refused in (lambda: connector.drain(FakeTransport()), lambda: connector.accept([row(7)])):
        with pytest.raises(PlaceRefused, match="retired"):
            refused()
    with pytest.raises(OperatorError, match="retired"):
        adopt(connector.outbox, send=True, who="me", why="back")
    exported = b"".join(joined(queued_payloads(connector.outbox)))
    assert notes(exported) == ["note 2", "note 3", "note 4", "note 5"]


def test_a_backup_over_the_living_directory_sends_nothing_again() -> None:
    """A batch that is in done/ and, from a backup, in ready/ again is not sent a second time."""
    connector = Connector(root(), FakeClock())
    connector.accept(LINES[:2])
    disk = connector.disk
    assert isinstance(disk, PowerLossDisk)
    (batch,) = connector.outbox.ready()
    files = {name: disk.read(f"{batch.path}/{name}") for name in disk.names(batch.path)}
    first, second = FakeTransport(), FakeTransport()
    connector.drain(first)
    disk.make_dir(batch.path)
    for name, data in files.items():
        disk.create(f"{batch.path}/{name}", data)
    connector.drain(second)
    assert (len(first.kept), second.posts) == (1, [])
    assert connector.states() == {batch.id: "done SENT"}


def test_rows_are_exported_without_the_key() -> None:
    """Without its key, an outbox accepts and sends nothing, but its rows can be exported."""
    connector = made()
    for name in ("key", "key.copy"):
        connector.disk.remove(f"{connector.outbox.path}/{name}")
    again = Connector(connector.disk, connector.clock)
    for refused in (lambda: again.drain(FakeTransport()), lambda: again.accept([row(7)])):
        with pytest.raises(Exception, match="irmexport outbox key restore small"):
            refused()
    assert notes(b"".join(joined(queued_payloads(again.outbox)))) == ["note 2", "note 3", "note 4", "note 5"]


def test_a_damaged_copy_is_repaired_and_stays_a_copy() -> None:
    """`repair` mends `FORMAT` of a copy, which `adopt` and `retire` need; it is refused as before."""
    connector = seen_from(Elsewhere, made())
    outbox = connector.outbox
    outbox.replace_file("FORMAT", b"damaged")
    for act in (partial(adopt, send=False), retire):
        with pytest.raises(DamageError, match="irmexport outbox repair small"):
            act(outbox, who="anna", why="w")
    repair(outbox)
    with pytest.raises(PlaceRefused, match="another machine"):
        outbox.check()
    assert adopt(outbox, send=False, who="anna", why="w") == 2
    outbox.check()


def test_a_repaired_identity_keeps_the_epoch_and_stays_retired() -> None:
    """A lost `outbox.json` must not let a retired outbox send again."""
    connector = seen_from(Elsewhere, made())
    outbox = connector.outbox
    adopt(outbox, send=True, who="anna", why="moved")
    retire(outbox, who="anna", why="moved again")
    before = outbox.identity()
    outbox.replace_file("outbox.json", b"damaged")
    repair(outbox)
    after = outbox.identity()
    assert before is not None
    assert after is not None
    assert (after.id, after.epoch, after.retired) == (before.id, 2, True)
    with pytest.raises(PlaceRefused, match="retired"):
        connector.drain(FakeTransport())
