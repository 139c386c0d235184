"""The model of a disk: what survives a power loss, and how it fails (see also test_disk.py)."""

from __future__ import annotations

import errno
import io

import pytest
from irmcore.http.outcome import Failure, Reply
from irmcore.http.upload import Upload

from tests.fakes.medium import LOST, SECTOR_BYTES, WHOLE, ZEROS, Link, Write, survivals, ways
from tests.fakes.powerloss import Careless, Killed, PowerLossDisk
from tests.fakes.transport import FakeTransport


def found(disk: PowerLossDisk) -> set[tuple[tuple[str, bytes | None], ...]]:
    """All trees that a power loss may leave."""
    return {tuple(after.medium.tree()) for after in disk.after_power_loss(1000)}


def test_what_was_synced_survives() -> None:
    """Data after sync, and names after sync_dir, survive any power loss."""
    disk = PowerLossDisk()
    disk.create("/a", b"data")
    disk.sync("/a")
    disk.sync_dir("/")
    assert found(disk) == {(("/a", b"data"),)}


def test_data_and_names_are_lost_apart() -> None:
    """A file of which only the name was synced may be empty; one of which only the data was, gone."""
    disk = PowerLossDisk()
    disk.create("/a", b"data")
    disk.sync_dir("/")
    assert found(disk) == {(("/a", b""),), (("/a", b"data"),), (("/a", b"\0\0\0\0"),)}
    disk = PowerLossDisk()
    disk.create("/a", b"data")
    disk.sync("/a")
    assert found(disk) == {(), (("/a", b"data"),)}


def test_writes_are_lost_in_any_combination() -> None:
    """Of two writes that were not synced, either may survive alone."""
    disk = PowerLossDisk()
    disk.create("/a", b"....")
    disk = disk.synced()
    disk.write_at("/a", 0, b"1")
    disk.write_at("/a", 2, b"2")
    assert found(disk) == {(("/a", text),) for text in (b"....", b"1...", b"..2.", b"1.2.")}


def test_a_write_is_torn_at_its_sectors() -> None:
    """Any number of sectors of a write may survive, from its beginning."""
    write = Write(1, SECTOR_BYTES - 10, b"x" * (2 * SECTOR_BYTES))
    assert ways(write) == [WHOLE, LOST, 10, 10 + SECTOR_BYTES, ZEROS]
    disk = PowerLossDisk()
    disk.create("/a", b"." * 1024)
    disk = disk.synced()
    disk.write_at("/a", 0, b"x" * 1024)
    assert found(disk) == {(("/a", b"x" * size + b"." * (1024 - size)),) for size in (0, 512, 1024)}


def test_a_rename_is_there_or_not() -> None:
    """A file that is moved between directories has one of the two names, never both or none."""
    disk = PowerLossDisk()
    disk.make_dir("/from")
    disk.make_dir("/to")
    disk = disk.synced()
    disk.create("/from/a", b"x")
    disk.sync("/from/a")
    disk.sync_dir("/from")
    disk.rename("/from/a", "/to/a")
    names = {tuple(path for path, data in tree if data is not None) for tree in found(disk)}
    assert names == {("/from/a",), ("/to/a",)}
    disk.sync_dir("/to")
    assert len(found(disk)) == 1


def test_what_moves_twice_has_one_name() -> None:
    """A second rename that is durable undoes the first, whether that survived or not."""
    disk = PowerLossDisk()
    for name in ("/a", "/b", "/c"):
        disk.make_dir(name)
    disk.create("/a/x", b"x")
    disk = disk.synced()
    disk.rename("/a/x", "/b/x")
    disk.rename("/b/x", "/c/x")
    names = [[path for path, data in tree if data is not None] for tree in found(disk)]
    assert sorted(names) == [["/a/x"], ["/b/x"], ["/c/x"]]
    disk.sync_dir("/c")
    assert [[path for path, data in tree if data is not None] for tree in found(disk)] == [["/c/x"]]


def test_a_directory_lost_takes_all_with_it() -> None:
    """A synced file may be gone if the name of its directory was not synced."""
    disk = PowerLossDisk()
    disk.make_dir("/d")
    disk.create("/d/a", b"x")
    disk.sync("/d/a")
    disk.sync_dir("/d")
    assert () in found(disk)
    disk.sync_dir("/")
    assert found(disk) == {(("/d", None), ("/d/a", b"x"))}


def test_a_failed_sync_is_never_made_good() -> None:
    """After a failed sync the data may be lost, even if a later sync succeeds."""
    disk = PowerLossDisk()
    disk.create("/a", b"")
    disk = disk.synced()
    disk.append("/a", b"x")
    disk.fail_at[disk.operations + 1] = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        disk.sync("/a")
    disk.sync("/a")
    assert (("/a", b""),) in found(disk)
    assert disk.read("/a") == b"x"


def test_what_a_failed_sync_left_does_not_come_back_over_what_is_durable() -> None:
    """Data that was overwritten after a failed sync, and synced then, is what was written last."""
    disk = PowerLossDisk()
    disk.create("/a", b"")
    disk = disk.synced()
    disk.append("/a", b"old")
    disk.fail_at[disk.operations + 1] = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        disk.sync("/a")
    disk.write_at("/a", 0, b"new", sync=True)
    assert found(disk) == {(("/a", b"new"),)}


def test_what_a_failed_sync_left_keeps_its_order() -> None:
    """A file has never two names, even if the sync of its move failed."""
    disk = PowerLossDisk()
    disk.make_dir("/ready")
    disk = disk.synced()
    disk.make_dir("/staged")
    disk.rename("/staged", "/ready/batch")
    disk.fail_at[disk.operations + 1] = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        disk.sync_dir("/ready")
    names = {tuple(path for path, _ in tree if path != "/ready") for tree in found(disk)}
    assert names == {(), ("/staged",), ("/ready/batch",)}


def test_a_killed_process_does_nothing_more() -> None:
    """A kill precedes its operation; nothing works afterwards, and the next process finds the locks free."""
    disk = PowerLossDisk()
    assert disk.try_lock("/lock") is not None
    disk.kill_at = disk.operations + 2
    with pytest.raises(Killed):
        disk.create("/a", b"never written")
    for operation in (lambda: disk.read("/a"), lambda: disk.sync_dir("/"), lambda: disk.exists("/a")):
        with pytest.raises(Killed):
            operation()
    after = disk.fork()
    assert after.read("/a") == b""
    assert after.try_lock("/lock") is not None


def test_a_full_disk_takes_writes_in_place() -> None:
    """On a full disk files neither grow nor move, but reserved space can be written and synced."""
    disk = PowerLossDisk()
    disk.create("/a", b"....")
    disk.full = True
    disk.write_at("/a", 1, b"in")
    disk.sync("/a")
    assert (disk.read("/a"), disk.free_bytes("/")) == (b".in.", 0)
    for operation in (
        lambda: disk.create("/b", b""),
        lambda: disk.append("/a", b"x"),
        lambda: disk.write_at("/a", 3, b"xy"),
        lambda: disk.make_dir("/d"),
        lambda: disk.rename("/a", "/c"),
    ):
        with pytest.raises(OSError, match="No space"):
            operation()
    disk.full, disk.read_only = False, True
    with pytest.raises(OSError, match="Read-only"):
        disk.write_at("/a", 0, b"x")


def test_a_large_window_is_sampled() -> None:
    """A few combinations are all tried; of many, each single loss and survival, and the rest at random."""
    few = [Link(0, "a", 1), Link(0, "b", 2)]
    assert sorted(survivals(few, 10, 1)) == [(WHOLE, WHOLE), (WHOLE, LOST), (LOST, WHOLE), (LOST, LOST)]
    many = [Link(0, str(number), number) for number in range(20)]
    sample = list(survivals(many, 100, 1))
    assert len(sample) == 100
    assert {combination.count(LOST) for combination in sample} >= {0, 1, 19, 20}
    assert sample == list(survivals(many, 100, 1))


def test_a_careless_disk_skips_one_site() -> None:
    """The syncs of one caller for one name are skipped, and all sites are recorded."""
    sites: set[str] = set()
    disk = Careless(PowerLossDisk().medium, "caller: a", sites, lambda _: "")

    def caller() -> None:
        for name in ("/a", "/b"):
            disk.create(name, b"x")
            disk.sync(name)

    caller()
    disk.sync_dir("/")
    assert sites >= {"caller: a", "caller: b"}
    assert {dict(tree)["/a"] for tree in found(disk)} == {b"x", b"", b"\0"}
    assert {dict(tree)["/b"] for tree in found(disk)} == {b"x"}


@pytest.mark.parametrize(
    ("answer", "committed", "whole", "kept"),
    [
        (Reply(200), True, True, True),
        (Reply(503), True, True, False),
        (Failure("reset", committed=True), True, True, True),
        (Failure("reset", committed=False), False, False, False),
    ],
)
def test_the_fake_service(answer: Reply | Failure, *, committed: bool, whole: bool, kept: bool) -> None:
    """The tail is read only after COMMIT, and the service keeps what a real one might keep."""
    reported: list[str] = []
    service = FakeTransport(answer, wire=reported.append)
    content = b"a,b\r\n" * 100
    upload = Upload("https://x.test", "t", "a.csv", "text/csv", io.BytesIO(content), len(content), 1.0)
    assert service.post(upload, lambda: reported.append("commit")) is answer
    assert reported == (["body", "commit", "tail"] if committed else ["body"])
    assert (service.posts[0].whole, service.posts[0].kept) == (whole, kept)
    assert service.kept == ([content] if kept else [])
