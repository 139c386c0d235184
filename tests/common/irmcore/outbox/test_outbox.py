"""The directory of a connector: batches are found, changed and moved, and damage is detected."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.errors import BatchDamaged, KeyMissing, OperatorError, UnknownFormat
from irmcore.outbox import Outbox, state_file
from irmcore.outbox.batch_files import (
    find_with_rowkeys,
    read_history,
    read_manifest,
    read_payload,
    read_rowkeys,
)
from irmcore.outbox.keyring import Keyring, encode
from irmcore.outbox.manifest import batch_id
from irmcore.outbox.outbox import KEY_FILES
from irmcore.outbox.retention import Periods, delete_expired, sweep
from irmcore.outbox.rowkeys import unseal
from irmcore.outbox.transitions import move_to_done, move_to_ready, quarantine, record_event, write_state

from tests.common.irmcore.outbox.outboxes import PATH, WHERE, accept, left, make, record
from tests.fakes.powerloss import Killed, PowerLossDisk


def test_the_layout_is_pinned() -> None:
    """An outbox and a batch have these files, and FORMAT names the version that wrote them."""
    outbox = make()
    (batch,) = accept(outbox, b"a,b")
    assert outbox.disk.names(PATH) == [
        *(
            "FORMAT",
            "audit.lock",
            "audit.log",
            "breaker",
            "done",
            "drain.lock",
            "intake.lock",
            "key",
            "key.copy",
            "outbox.json",
        ),
        *("quarantine", "ready", "rejects", "sender.lock", "tmp"),
    ]
    assert outbox.disk.read(f"{PATH}/FORMAT") == b"irmexport outbox 4\n"
    assert batch.path == f"{PATH}/ready/{batch_id(outbox.keyring, WHERE, 'text/csv', b'a,b')}"
    assert outbox.disk.names(batch.path) == ["manifest.json", "payload", "rowkeys", "state"]
    assert outbox.disk.read(f"{batch.path}/payload") == b"a,b"
    assert read_rowkeys(outbox, batch) == record(bytes.fromhex(batch.id))
    assert state_file.decode(outbox.disk.read(f"{batch.path}/state"), "").record == {
        "v": 1,
        "n": 0,
        "batch": batch.id[:16],
        "name": "READY",
        "at": 1_770_000_000.0,
        "order": 1_770_000_000_000_000_000,
        "attempts": 0,
        "not_before": 0.0,
        "reason": "",
        "status": 0,
        "request_id": "",
    }


def test_modes_on_a_real_disk(tmp_path: Path) -> None:
    """Every file of an outbox has mode 0600 and every directory 0700."""
    outbox = Outbox(PosixDisk(), SystemClock(), str(tmp_path / "small"))
    outbox.create()
    (batch,) = accept(outbox, b"a,b")
    record_event(outbox, batch, {"event": "x"})
    move_to_done(outbox, write_state(outbox, batch, name="SENT"))
    outbox.replace_file("connector.json", b"{}")
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "small").rglob("*")}
    assert len(found) > 15
    for path, mode in found.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_an_outbox_that_cannot_be_read_exists(tmp_path: Path) -> None:
    """A list of outboxes goes on past it; whoever uses it gets the error."""
    outbox = Outbox(PosixDisk(), SystemClock(), str(tmp_path))
    assert not outbox.exists()
    (tmp_path / "ready").symlink_to("ready")  # permissions would not stop a test that runs as root
    assert outbox.exists()
    with pytest.raises(OSError, match="symbolic links"):
        outbox.ready()


def test_a_later_version_is_left_untouched() -> None:
    """A directory with another FORMAT is refused, and nothing in it changes."""
    outbox = make()
    outbox.disk.write_at(f"{PATH}/FORMAT", 17, b"5")
    outbox.replace_file("outbox.json", b"of a later version")
    before = list(outbox.disk.fork().synced().medium.tree())  # type: ignore[attr-defined]
    for act in (outbox.create, outbox.check_format):
        with pytest.raises(UnknownFormat, match="does not know the format of this outbox"):
            act()
    assert list(outbox.disk.synced().medium.tree()) == before  # type: ignore[attr-defined]


def test_the_newest_good_copy_of_the_key_counts() -> None:
    """A copy that is damaged, missing, older or of another outbox is restored under a lock, and no other."""
    for name in KEY_FILES:
        for how in ("damaged", "missing", "older", "another", "good"):
            made = make()
            newest = made.keyring.rotated()
            others = {
                "older": made.keyring,
                "another": Keyring.new("another").rotated().rotated(),
                "good": newest,
            }
            made.save_keyring(newest)
            made.disk.remove(f"{PATH}/{name}")
            if how != "missing":
                data = encode(others[how]) if how in others else b"damaged"
                made.disk.create(f"{PATH}/{name}", data)
            outbox = Outbox(made.disk, made.clock, PATH)
            assert outbox.keyring == newest
            lock = outbox.intake_lock()
            assert lock is not None
            before = made.disk.operations  # type: ignore[attr-defined]
            assert outbox.checked(lock) is lock
            assert (made.disk.operations == before) is (how == "good")  # type: ignore[attr-defined]
            assert outbox.keyrings() == dict.fromkeys(KEY_FILES, newest)
            assert outbox.intake_lock() is None


def test_without_a_good_copy_of_the_key_nothing_is_done() -> None:
    """The error names the file and the command that restores it, and the lock is free again."""
    made = make()
    for name in KEY_FILES:
        made.disk.write_at(f"{PATH}/{name}", 5, b"damage")
    outbox = Outbox(made.disk, made.clock, PATH)
    lock = outbox.sender_lock()
    assert lock is not None
    with pytest.raises(KeyMissing, match="key of this outbox is missing or damaged") as raised:
        outbox.checked(lock)
    assert (raised.value.where, "key restore small" in raised.value.next_step) == (f"{PATH}/key", True)
    assert outbox.sender_lock() is not None


def test_the_queue_is_first_in_first_out() -> None:
    """Batches are queued in the order of their runs, and of their parts within a run."""
    outbox = make()
    first = [batch.id for batch in accept(outbox, b"c", b"a", b"b")]
    outbox.clock.sleep(1.0)
    second = [batch.id for batch in accept(outbox, b"d")]
    assert [batch.id for batch in outbox.ready()] == first + second


def test_a_change_is_one_write_in_place() -> None:
    """A change of state grows no file and moves none, so it works on a full disk, even a hundred times."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    outbox.disk.full = True  # type: ignore[attr-defined]
    for attempt in range(100):
        batch = write_state(outbox, batch, name="INTENT", attempts=attempt)
    assert batch == outbox.get(batch.id)
    assert (batch.number, batch.state.attempts if batch.state else 0) == (100, 99)


def test_damage_to_a_state_is_detected_and_repaired_by_a_change() -> None:
    """A flipped bit in any record marks the batch as damaged; a change of state repairs it."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    batch = write_state(outbox, batch, name="DEAD")
    outbox.disk.write_at(f"{batch.path}/state", 3 * 512, b"\x01")
    found = outbox.get(batch.id)
    assert (found.damaged, found.state) == (True, batch.state)
    write_state(outbox, found, name="READY")
    mended = outbox.get(batch.id)
    assert (mended.damaged, mended.state.name if mended.state else "") == (False, "READY")


def test_a_state_that_cannot_be_read() -> None:
    """A batch whose state is gone is listed as damaged, and nothing changes its state."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    outbox.disk.remove(f"{batch.path}/state")
    (found,) = outbox.ready()
    assert (found.state, found.damaged) == (None, True)
    with pytest.raises(BatchDamaged, match="no state"):
        write_state(outbox, found, name="READY")


def test_a_batch_of_a_later_version_is_unknown() -> None:
    """A state that a later version wrote is neither read nor reported as damaged."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    outbox.disk.write_at(f"{batch.path}/state", 512, state_file.encode({"v": 2}, 1))
    (found,) = outbox.ready()
    assert (found.unknown, found.state, found.damaged) == (True, None, False)


@pytest.mark.parametrize("bit", range(0, 24, 5))
def test_every_flip_of_a_payload_is_noticed(bit: int) -> None:
    """A payload that is missing or not what was accepted is never returned."""
    outbox = make()
    (batch,) = accept(outbox, b"a,b")
    manifest = read_manifest(outbox, batch)
    assert read_payload(outbox, batch, manifest) == b"a,b"
    flipped = bytearray(b"a,b")
    flipped[bit // 8] ^= 1 << bit % 8
    outbox.disk.write_at(f"{batch.path}/payload", 0, bytes(flipped))
    with pytest.raises(BatchDamaged, match="hash differs"):
        read_payload(outbox, batch, manifest)
    outbox.disk.remove(f"{batch.path}/payload")
    with pytest.raises(BatchDamaged, match="hash differs"):
        read_payload(outbox, batch, manifest)


def test_a_manifest_must_be_there_and_its_own() -> None:
    """A missing manifest and one of another batch are damage."""
    outbox = make()
    one, other = accept(outbox, b"a", b"b")
    outbox.disk.remove(f"{one.path}/manifest.json")
    with pytest.raises(BatchDamaged, match="missing"):
        read_manifest(outbox, one)
    outbox.disk.create(f"{one.path}/manifest.json", outbox.disk.read(f"{other.path}/manifest.json"))
    with pytest.raises(BatchDamaged, match="another batch"):
        read_manifest(outbox, one)


def test_foreign_files_are_skipped_and_left_alone() -> None:
    """A foreign file stops nothing, wherever it is, and a clean-up leaves it alone."""
    outbox = make()
    accept(outbox, b"a")
    foreign = ["notes.txt", "ready/README", "done/.DS_Store", "done/zz", "quarantine/x.tar", "rejects/other"]
    for name in foreign:
        outbox.disk.create(f"{PATH}/{name}", b"mine")
    outbox.disk.make_dir(f"{PATH}/ready/a directory")
    assert len(list(outbox.all_batches())) == 1
    delete_expired(outbox, Periods(0.0, 0.0, 0.0, 0.0))
    sweep(outbox)
    assert {outbox.disk.read(f"{PATH}/{name}") for name in foreign} == {b"mine"}
    assert outbox.disk.exists(f"{PATH}/ready/a directory")


def test_batches_are_found_by_the_beginning_of_their_id() -> None:
    """Four or more hexadecimal digits find a batch in every folder; anything else finds none."""
    outbox = make()
    one, two, three = accept(outbox, b"a", b"b", b"c")
    move_to_done(outbox, write_state(outbox, two, name="SENT"))
    quarantine(outbox, three)
    for batch in (one, two, three):
        assert outbox.match(batch.id[:8]) == outbox.match(batch.id) == [batch.id]
    for prefix in ("", one.id[:3], "../..", one.id[:8].upper() + "G", "zzzz", f"{one.id}0"):
        assert outbox.match(prefix) == []
    assert [outbox.folder_of(b.id) for b in (one, two, three)] == [
        "ready",
        f"done/{two.id[:2]}",
        "quarantine",
    ]
    with pytest.raises(OperatorError, match="there is no batch"):
        outbox.get("0" * 64)


def test_quarantined_and_moved_back() -> None:
    """A batch goes to quarantine and comes back with all its files."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    quarantine(outbox, batch)
    assert (outbox.ready(), [b.id for b in outbox.quarantined()]) == ([], [batch.id])
    assert move_to_ready(outbox, outbox.quarantined()[0]) == batch


def test_history_survives_a_torn_line() -> None:
    """A line that a crash cut off is skipped; the lines before and after it are read."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    assert read_history(outbox, batch) == []
    record_event(outbox, batch, {"event": "one"})
    outbox.disk.append(f"{outbox.path}/audit.log", b'{"at": 1, "eve')
    record_event(outbox, batch, {"event": "two"})
    assert read_history(outbox, batch) == [
        {"at": 1_770_000_000.0, "event": "one"},
        {"at": 1_770_000_000.0, "event": "two"},
    ]


def test_a_file_in_the_place_of_a_batch_has_no_history() -> None:
    """A foreign directory is not a batch, and reading its history is no error."""
    outbox = make()
    outbox.disk.create(f"{PATH}/quarantine/{'0' * 64}", b"mine")
    assert [read_history(outbox, batch) for batch in outbox.quarantined()] == [[]]


def test_two_outboxes_are_independent() -> None:
    """Two connectors on one disk have queues and locks of their own."""
    one = make("one")
    disk = one.disk
    assert isinstance(disk, PowerLossDisk)
    two = make("two", disk)
    accept(one, b"a")
    locks = [one.sender_lock(), two.sender_lock(), one.intake_lock(), two.intake_lock()]
    assert None not in locks
    assert one.sender_lock() is None
    assert (len(one.ready()), two.ready()) == (1, [])


def test_a_file_is_replaced_as_a_whole() -> None:
    """After any error, a settings file has its old content or the new one."""
    outbox = make()
    assert outbox.read_file("x") is None
    outbox.replace_file("x", b"old")
    disk = outbox.disk
    assert isinstance(disk, PowerLossDisk)
    for number in range(1, 5):
        disk.fail_at[disk.operations + number] = 28
        with pytest.raises(OSError, match="No space"):
            outbox.replace_file("x", b"new")
        assert outbox.read_file("x") in (b"old", b"new")
    outbox.replace_file("x", b"new")
    assert outbox.read_file("x") == b"new"


def test_row_keys_are_read_while_the_batch_moves() -> None:
    """A batch's row keys are found even if the sender moves the batch at that moment."""

    class Moving(PowerLossDisk):
        def read(self, path: str) -> bytes:
            if path == f"{batch.path}/rowkeys" and self.exists(path):
                self.rename(batch.path, f"{PATH}/quarantine/{batch.id}")
            return super().read(path)

    made = make()
    (batch,) = accept(made, b"a")
    outbox = Outbox(Moving(made.disk.synced().medium), made.clock, PATH)  # type: ignore[attr-defined]
    found = find_with_rowkeys(outbox, batch.id)
    assert found is not None
    assert found[0].folder == "quarantine"
    assert unseal(outbox.keyring, found[1]) == record(bytes.fromhex(batch.id))
    assert find_with_rowkeys(outbox, "0" * 64) is None


def test_a_batch_that_moves_is_not_shown_as_damaged() -> None:
    """A batch that leaves the queue while it is listed is left out, and not reported as damaged."""

    class Moving(PowerLossDisk):
        def read(self, path: str) -> bytes:
            if path == f"{one.path}/state" and self.exists(path):
                self.rename(one.path, f"{PATH}/quarantine/{one.id}")
            return super().read(path)

    made = make()
    one, other = accept(made, b"a", b"b")
    disk = Moving(made.disk.synced().medium)  # type: ignore[attr-defined]
    assert [batch.id for batch in Outbox(disk, made.clock, PATH).ready()] == [other.id]


def test_a_replacement_that_fails_or_is_killed_leaves_nothing_for_good() -> None:
    """The file is as before, and its new content is deleted at once or by the next process."""
    outbox = make()
    disk = outbox.disk
    assert isinstance(disk, PowerLossDisk)
    outbox.replace_file("connector.json", b"first")
    disk.full = True
    with pytest.raises(OSError, match="No space left"):
        outbox.replace_file("connector.json", b"second")
    disk.full = False
    assert left(outbox) == []
    names = disk.names(outbox.tmp)
    killed = disk.fork()
    killed.kill_at = killed.operations + 2
    with pytest.raises(Killed):
        Outbox(killed, outbox.clock, outbox.path).replace_file("connector.json", b"second")
    after = Outbox(killed.fork(), outbox.clock, outbox.path)
    assert after.read_file("connector.json") == b"first"
    after.replace_file("connector.json", b"third")
    assert (left(after), after.disk.names(after.tmp)) == ([], names)
