"""Each file of an outbox, damaged in each way: what status, audit and a drain say, and what is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from irmcore.delivery import connection
from irmcore.delivery.connection import Connection
from irmcore.errors import IrmError
from irmcore.http.outcome import Reply
from irmcore.operations import operations
from irmcore.operations.connectors import Connectors
from irmcore.operations.rewriting import repair
from irmcore.operations.status import connector_status
from irmcore.operations.verification import EVERYTHING, damages, format_trouble, use_trouble
from irmcore.outbox import Outbox, sealed

from tests.common.irmcore.outbox.outages import root
from tests.fakes.clock import FakeClock
from tests.fakes.connector import ROOT, Connector, notes, row, small_profile
from tests.fakes.powerloss import PowerLossDisk
from tests.fakes.transport import FakeTransport

PATH = f"{ROOT}/small"
LINES = [row(number) for number in range(5)]
REFUSED = row(9).replace("@contoso.com", "")

DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "deleted": lambda _: None,
    "emptied": lambda _: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "one bit flipped": lambda data: data[:11] + bytes([data[11] ^ 4]) + data[12:],
    "another file's content": lambda _: b'{"run": "another file"}\n',
}
#: Each file, and a part of the command that mends it, as status or audit say it.
FILES = {
    "FORMAT": "irmexport outbox repair small",
    "outbox.json": "irmexport outbox repair small",
    "key": "restores it from the other copy",
    "key.copy": "restores it from the other copy",
    "breaker": "irmexport resume",
    "connector.json": "irmexport send",
    "ready/*/state": "irmexport requeue",
    "ready/*/manifest.json": "irmexport show",
    "ready/*/payload": "from their source",
    "ready/*/rowkeys": "irmexport outbox repair small",
    "done/*/*/rowkeys": "irmexport outbox repair small",
    "done/*/*/state": "nothing needs to be done",
    "done/*/*/manifest.json": "nothing needs to be done",
    "ledger/days/tally": "irmexport outbox repair small",
    "ledger/days/2026/2026-11-20.rows": "irmexport outbox repair small",
    "rejects/*": "Run the same input again",
}
#: Deleted as a whole, these leave no trace: docs/backup.md says so.
UNSEEN = {("rejects/*", "deleted")}


def outbox_with_everything() -> PowerLossDisk:
    """A sent batch, a queued one and one that was paused on, settings, a record and refused rows."""
    connector = Connector(root(), FakeClock())
    connector.outbox.create()
    connection.save(connector.outbox, Connection("small", small_profile().connector))
    connector.accept([*LINES, REFUSED])
    connector.drain(FakeTransport(Reply(200), Reply(403)))
    return connector.disk  # type: ignore[return-value]


def resolve(disk: PowerLossDisk, name: str) -> str:
    """The first path that ``name`` means, whose * are any name."""
    path = PATH
    for part in name.split("/"):
        found = disk.names(path) if part == "*" else [part]
        path = f"{path}/{found[0]}"
    return path


def said(connector: Connector) -> str:
    """What `status` and `audit --verify` say of damage."""
    outbox = connector.outbox
    status = connector_status(outbox, verify_bytes=EVERYTHING)
    texts = [status.trouble, *status.damage, status.next_step if status.reason == "breaker-damaged" else ""]
    trouble = format_trouble(outbox)
    audit = [trouble or use_trouble(outbox), *([] if trouble else map(str, damages(outbox, EVERYTHING)))]
    text = "\n".join(filter(None, texts))
    assert all(line in text for line in audit), "audit says what status does not"
    assert bool(text) == (bool(status.damage or status.trouble) or status.reason == "breaker-damaged")
    return text


def test_an_outbox_without_damage_has_none() -> None:
    """Nothing is reported of a whole outbox."""
    assert said(Connector(outbox_with_everything(), FakeClock())) == ""


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_damage_is_seen_before_a_drain(name: str, damage: str) -> None:
    """Damage is reported with the command that mends it; then each row is sent once, and none is lost."""
    disk = outbox_with_everything()
    path = resolve(disk, name)
    data = DAMAGE[damage](disk.read(path))
    disk.remove(path)
    if data is not None:
        disk.create(path, data)
    clock = FakeClock()
    clock.advance(7_200.0)
    connector = Connector(disk, clock)
    text = said(connector)
    assert (FILES[name] in text) != ((name, damage) in UNSEEN), text
    service = FakeTransport()
    if name in ("FORMAT", "outbox.json"):
        with pytest.raises(IrmError) as refused:
            connector.drain(service)
        assert str(refused.value) in text
    else:
        connector.drain(service)
    if name in ("FORMAT", "outbox.json", "breaker"):
        assert not service.posts
    if name == "breaker":
        assert not service.posts
        operations.resume(connector.outbox, who="me", why="checked")
    repair(connector.outbox)
    connector.drain(service)
    connector.accept([*LINES, REFUSED])
    connector.drain(service)
    sent = Counter(note for file in service.kept for note in notes(file))
    assert set(sent) <= {f"note {number}" for number in (2, 3, 4)}
    assert max(sent.values(), default=0) == 1
    assert len(sent) == 3 or connector.outbox.quarantined(), "a row is neither sent nor in quarantine"


def test_row_keys_in_a_directory_are_missed_however_short_their_period_is_on_a_store() -> None:
    """In a directory they go with their batch, whatever `retention.rowkeys_days` says."""
    disk, clock = outbox_with_everything(), FakeClock()
    connector = Connector(disk, clock)
    settings = connection.settings_of(connector.outbox) or {}
    settings["connector"]["retention"] = {"rowkeys_days": 35}
    connection.save_settings(connector.outbox, settings)
    clock.advance(36 * 86_400.0)
    assert "row keys" not in said(connector)
    disk.remove(resolve(disk, "done/*/*/rowkeys"))
    assert "the row keys are missing or damaged" in said(connector)


def test_a_batch_that_was_accepted_again_is_sent_though_the_withdrawn_one_is_damaged() -> None:
    """An unreadable state in `done/` must not make the sender delete the batch that replaced it."""
    connector = Connector(root(), FakeClock())
    (name,) = connector.accept(LINES[:2]).batches
    operations.resolve(connector.outbox, name, "withdraw", who="me", why="wrong")
    assert connector.accept(LINES[:2]).batches == (name,)
    path = f"{connector.outbox.path}/done/{name[:2]}/{name}"
    connector.disk.write_at(f"{path}/state", 0, b"damage" * 500)
    queued = connector.disk.read(f"{connector.outbox.path}/ready/{name}/state")
    service = FakeTransport()
    assert connector.drain(service).sent == 1
    assert connector.states() == {name: "done SENT"}
    # A copy of a sent batch that a backup brought back is not sent again, whatever its state in done/ is.
    connector.disk.write_at(f"{path}/state", 0, b"damage" * 500)
    connector.disk.make_dir(f"{connector.outbox.path}/ready/{name}")
    for file in connector.disk.names(path):
        data = queued if file == "state" else connector.disk.read(f"{path}/{file}")
        connector.disk.create(f"{connector.outbox.path}/ready/{name}/{file}", data)
    connector.drain(service)
    assert len(service.posts) == 1


def test_an_outbox_without_its_key_disturbs_no_other_one() -> None:
    """A batch is found by its whole id beside an outbox whose key is lost, or that has format 3."""
    disk = root()
    connector = Connector(disk, FakeClock())
    (name,) = connector.accept(LINES[:2]).batches
    other = Outbox(disk, FakeClock(), f"{ROOT}/another")
    other.create()
    for file in ("key", "key.copy"):
        disk.remove(f"{other.path}/{file}")
    found, batch = Connectors(disk, FakeClock(), ROOT).find_batch(name)
    assert (found.name, batch.id) == ("small", name)


def test_all_connectors_are_chosen_though_the_settings_of_one_are_damaged() -> None:
    """A drain or a status of all must not be one of the damaged connector alone."""
    disk = root()
    Connector(disk, FakeClock()).accept(LINES[:2])
    disk.create(f"{PATH}/connector.json", sealed.encode({"profile": "small"}))
    other = Outbox(disk, FakeClock(), f"{ROOT}/another")
    other.create()
    disk.create(f"{other.path}/connector.json", b"damaged")
    connectors = Connectors(disk, FakeClock(), ROOT)
    assert [outbox.name for outbox in connectors.choose("")] == ["another", "small"]
    assert [outbox.name for outbox in connectors.choose("anoth")] == ["another"]


def test_one_copy_of_the_key_that_the_disk_cannot_read_stops_nothing() -> None:
    """The other copy serves; if the disk can read neither, its error is reported, not a missing key."""
    connector = Connector(root(), FakeClock())
    connector.accept(LINES[:2])
    for name in ("key", "key.copy"):
        connector.disk.remove(f"{PATH}/{name}")
        connector.disk.make_dir(f"{PATH}/{name}")  # reading a directory fails, too
        if name == "key":
            assert connector.drain(FakeTransport()).sent == 1
    with pytest.raises(IsADirectoryError):
        connector.drain(FakeTransport())
