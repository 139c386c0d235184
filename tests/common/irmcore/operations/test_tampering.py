"""What somebody without the key changes beside the audit log is found too."""

from __future__ import annotations

from irmcore.delivery import connection
from irmcore.delivery.connection import Connection
from irmcore.operations.verification import EVERYTHING, damages
from irmcore.outbox import sealed

from tests.common.irmcore.outbox.outages import root
from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row, small_profile
from tests.fakes.powerloss import Killed
from tests.fakes.transport import FakeTransport


def configured() -> Connector:
    """A connector with settings and a queued batch."""
    connector = Connector(root(), FakeClock())
    connector.outbox.create()
    connection.save(connector.outbox, Connection("small", small_profile().connector))
    connector.accept([row(1)])
    return connector


def test_a_manifest_that_was_changed_and_sealed_again() -> None:
    """A manifest with another user is damage although its checksum is right, and its batch is not sent."""
    connector = configured()
    outbox = connector.outbox
    (batch,) = outbox.ready()
    path = f"{batch.path}/manifest.json"
    values = sealed.decode(outbox.disk.read(path))
    values["origin"]["user"] = "mallory"
    outbox.disk.remove(path)
    outbox.disk.create(path, sealed.encode(values))
    (found,) = damages(outbox, EVERYTHING)
    assert found.where == path
    service = FakeTransport()
    connector.drain(service)
    assert (service.posts, len(outbox.quarantined())) == ([], 1)


def test_settings_that_were_changed_and_sealed_again() -> None:
    """Settings that irmexport did not write are reported with the command that writes them again."""
    connector = configured()
    outbox = connector.outbox
    assert list(damages(outbox, EVERYTHING)) == []
    values = sealed.decode(outbox.read_file(connection.FILE) or b"")
    values["connector"]["proxy"] = "http://10.0.0.1:8080"
    outbox.replace_file(connection.FILE, sealed.encode(values))
    (found,) = damages(outbox, EVERYTHING)
    assert found.where == f"{outbox.path}/connector.json"
    assert "irmexport send" in found.next_step
    connection.save(outbox, Connection("small", small_profile().connector))
    assert list(damages(outbox, EVERYTHING)) == []


def test_a_change_of_settings_that_is_killed() -> None:
    """Killed at any operation, a change of settings does not look like somebody else's."""
    before = configured()
    start = before.disk.synced()  # type: ignore[attr-defined]
    changed = Connection("other", small_profile().connector)
    number = 0
    while True:
        number += 1
        disk = start.fork()
        disk.kill_at = disk.operations + number
        try:
            connection.save(Connector(disk, before.clock).outbox, changed)
        except Killed:
            for after in disk.fork().after_power_loss(8, seed=number):
                outbox = Connector(after, before.clock).outbox
                assert list(damages(outbox, EVERYTHING)) == []
                connection.save(outbox, changed)
                assert list(damages(outbox, EVERYTHING)) == []
        else:
            break
    assert number > 3
