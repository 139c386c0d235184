"""The directory of a connector: batches found, changed, moved, and known when they are damaged."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.errors import BatchDamaged, OperatorError, UnknownFormat
from irmcore.outbox import Box, slots
from irmcore.outbox.manifest import batch_id

from tests.common.irmcore.outbox.boxes import PATH, WHERE, accept, make
from tests.fakes.powerloss import PowerLossDisk


def test_the_layout_is_pinned() -> None:
    """A box and a batch have these files, and FORMAT says which version wrote them."""
    box = make()
    (batch,) = accept(box, b"a,b")
    assert box.disk.names(PATH) == [
        *("FORMAT", "done", "gate", "intake.lock", "quarantine", "ready", "rejects", "runs", "sender.lock"),
        "tmp",
    ]
    assert box.disk.read(f"{PATH}/FORMAT") == b"irmexport outbox 3\n"
    assert batch.path == f"{PATH}/ready/{batch_id(WHERE, 'text/csv', b'a,b')}"
    assert box.disk.names(batch.path) == ["attempts.jsonl", "manifest.json", "payload", "rowkeys", "state"]
    assert box.disk.read(f"{batch.path}/payload") == b"a,b"
    assert box.disk.read(f"{batch.path}/rowkeys") == b"keys of " + bytes.fromhex(batch.id)[:4]
    assert slots.decode(box.disk.read(f"{batch.path}/state"), "").record == {
        "v": 1,
        "n": 0,
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
    box = Box(PosixDisk(), SystemClock(), str(tmp_path / "small"))
    box.create()
    (batch,) = accept(box, b"a,b")
    box.note(batch, {"event": "x"})
    box.finish(box.change(batch, name="SENT"))
    box.replace_file("connector.json", b"{}")
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "small").rglob("*")}
    assert len(found) > 15
    for path, mode in found.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_later_version_is_left_untouched() -> None:
    """A directory with another FORMAT is refused, and nothing in it changes."""
    box = make()
    box.disk.write_at(f"{PATH}/FORMAT", 17, b"4")
    before = list(box.disk.fork().settled().medium.tree())  # type: ignore[attr-defined]
    for act in (box.create, box.check_format):
        with pytest.raises(UnknownFormat, match="a format that this version does not know"):
            act()
    assert list(box.disk.settled().medium.tree()) == before  # type: ignore[attr-defined]


def test_the_queue_is_first_in_first_out() -> None:
    """Batches wait in the order of their runs, and of their parts within a run."""
    box = make()
    first = [batch.id for batch in accept(box, b"c", b"a", b"b", run="z")]
    box.clock.sleep(1.0)
    second = [batch.id for batch in accept(box, b"d", run="a")]
    assert [batch.id for batch in box.waiting()] == first + second


def test_a_change_is_one_write_in_place() -> None:
    """A change of state grows no file and moves none, so it works on a full disk, a hundred times."""
    box = make()
    (batch,) = accept(box, b"a")
    box.disk.full = True  # type: ignore[attr-defined]
    for attempt in range(100):
        batch = box.change(batch, name="INTENT", attempts=attempt)
    assert batch == box.reload(batch.id)
    assert (batch.number, batch.state.attempts if batch.state else 0) == (100, 99)


def test_damage_to_a_state_is_noticed_and_mended_by_a_change() -> None:
    """A flipped bit in any slot marks the batch; a person's change of state leaves it whole."""
    box = make()
    (batch,) = accept(box, b"a")
    batch = box.change(batch, name="DEAD")
    box.disk.write_at(f"{batch.path}/state", 3 * 512, b"\x01")
    found = box.reload(batch.id)
    assert (found.damaged, found.state) == (True, batch.state)
    box.change(found, name="READY")
    mended = box.reload(batch.id)
    assert (mended.damaged, mended.state.name if mended.state else "") == (False, "READY")


def test_a_state_that_cannot_be_read() -> None:
    """A batch whose state is gone is shown as damaged, and its state is not changed by itself."""
    box = make()
    (batch,) = accept(box, b"a")
    box.disk.remove(f"{batch.path}/state")
    (found,) = box.waiting()
    assert (found.state, found.damaged) == (None, True)
    with pytest.raises(BatchDamaged, match="no state"):
        box.change(found, name="READY")


def test_a_batch_of_a_later_version_is_unknown() -> None:
    """A state that a later version wrote is neither read nor called damaged."""
    box = make()
    (batch,) = accept(box, b"a")
    box.disk.write_at(f"{batch.path}/state", 512, slots.encode({"v": 2}, 1))
    (found,) = box.waiting()
    assert (found.unknown, found.state, found.damaged) == (True, None, False)


@pytest.mark.parametrize("bit", range(0, 24, 5))
def test_every_flip_of_a_payload_is_noticed(bit: int) -> None:
    """A payload that is not what was accepted is never handed out, nor is a missing one."""
    box = make()
    (batch,) = accept(box, b"a,b")
    manifest = box.manifest(batch)
    assert box.payload(batch, manifest) == b"a,b"
    flipped = bytearray(b"a,b")
    flipped[bit // 8] ^= 1 << bit % 8
    box.disk.write_at(f"{batch.path}/payload", 0, bytes(flipped))
    with pytest.raises(BatchDamaged, match="hash differs"):
        box.payload(batch, manifest)
    box.disk.remove(f"{batch.path}/payload")
    with pytest.raises(BatchDamaged, match="hash differs"):
        box.payload(batch, manifest)


def test_a_manifest_must_be_there_and_its_own() -> None:
    """A missing manifest and one of another batch are damage."""
    box = make()
    one, other = accept(box, b"a", b"b")
    box.disk.remove(f"{one.path}/manifest.json")
    with pytest.raises(BatchDamaged, match="missing"):
        box.manifest(one)
    box.disk.create(f"{one.path}/manifest.json", box.disk.read(f"{other.path}/manifest.json"))
    with pytest.raises(BatchDamaged, match="another batch"):
        box.manifest(one)


def test_foreign_files_are_passed_over_and_kept() -> None:
    """What irmexport did not write stops nothing, wherever it lies, and is still there after a clean-up."""
    box = make()
    accept(box, b"a")
    foreign = ["notes.txt", "ready/README", "done/.DS_Store", "done/zz", "quarantine/x.tar", "runs/other"]
    for name in foreign:
        box.disk.create(f"{PATH}/{name}", b"mine")
    box.disk.make_dir(f"{PATH}/ready/a directory")
    assert len(list(box.everything())) == 1
    box.clean_up(payload_seconds=0.0, batch_seconds=0.0)
    box.sweep()
    assert {box.disk.read(f"{PATH}/{name}") for name in foreign} == {b"mine"}
    assert box.disk.exists(f"{PATH}/ready/a directory")


def test_batches_are_found_by_the_beginning_of_their_id() -> None:
    """Four hexadecimal digits or more find a batch in every place; anything else finds none."""
    box = make()
    one, two, three = accept(box, b"a", b"b", b"c")
    box.finish(box.change(two, name="SENT"))
    box.set_aside(three)
    for batch in (one, two, three):
        assert box.match(batch.id[:8]) == box.match(batch.id) == [batch.id]
    for prefix in ("", one.id[:3], "../..", one.id[:8].upper() + "G", "zzzz", f"{one.id}0"):
        assert box.match(prefix) == []
    assert [box.place_of(b.id) for b in (one, two, three)] == ["ready", f"done/{two.id[:2]}", "quarantine"]
    with pytest.raises(OperatorError, match="there is no batch"):
        box.reload("0" * 64)


def test_set_aside_and_brought_back() -> None:
    """A batch goes to quarantine and comes back with all it had."""
    box = make()
    (batch,) = accept(box, b"a")
    box.set_aside(batch)
    assert (box.waiting(), [b.id for b in box.quarantined()]) == ([], [batch.id])
    assert box.bring_back(box.quarantined()[0]) == batch


def test_history_survives_a_torn_line() -> None:
    """A line that a crash cut off costs itself alone; those before and after it are read."""
    box = make()
    (batch,) = accept(box, b"a")
    assert box.history(batch) == []
    box.note(batch, {"event": "one"})
    box.disk.append(f"{batch.path}/attempts.jsonl", b'{"at": 1, "eve')
    box.note(batch, {"event": "two"})
    assert box.history(batch) == [
        {"at": 1_770_000_000.0, "event": "one"},
        {"at": 1_770_000_000.0, "event": "two"},
    ]


def test_a_file_in_the_place_of_a_batch_has_no_history() -> None:
    """What irmexport did not write is no batch, and asking for its history is no error."""
    box = make()
    box.disk.create(f"{PATH}/quarantine/{'0' * 64}", b"mine")
    assert [box.history(batch) for batch in box.quarantined()] == [[]]


def test_two_boxes_know_nothing_of_each_other() -> None:
    """Two connectors on one disk have queues and locks of their own."""
    one = make("one")
    disk = one.disk
    assert isinstance(disk, PowerLossDisk)
    two = make("two", disk)
    accept(one, b"a")
    locks = [one.sender_lock(), two.sender_lock(), one.intake_lock(), two.intake_lock()]
    assert None not in locks
    assert one.sender_lock() is None
    assert (len(one.waiting()), two.waiting()) == (1, [])


def test_a_file_is_replaced_as_a_whole() -> None:
    """A settings file has its old content or the new one, after any error."""
    box = make()
    assert box.read_file("x") is None
    box.replace_file("x", b"old")
    disk = box.disk
    assert isinstance(disk, PowerLossDisk)
    for number in range(1, 5):
        disk.fail_at[disk.operations + number] = 28
        with pytest.raises(OSError, match="No space"):
            box.replace_file("x", b"new")
        assert box.read_file("x") in (b"old", b"new")
    box.replace_file("x", b"new")
    assert box.read_file("x") == b"new"


def test_row_keys_are_read_while_the_batch_moves() -> None:
    """Whoever reads a batch's row keys finds them, also when the sender moves it at that moment."""

    class Moving(PowerLossDisk):
        def read(self, path: str) -> bytes:
            if path == f"{batch.path}/rowkeys" and self.exists(path):
                self.rename(batch.path, f"{PATH}/quarantine/{batch.id}")
            return super().read(path)

    made = make()
    (batch,) = accept(made, b"a")
    box = Box(Moving(made.disk.settled().medium), made.clock, PATH)  # type: ignore[attr-defined]
    found = box.look_up(batch.id)
    assert found is not None
    assert (found[0].place, found[1]) == ("quarantine", b"keys of " + bytes.fromhex(batch.id)[:4])
    assert box.look_up("0" * 64) is None


def test_a_batch_that_moves_is_not_shown_as_damaged() -> None:
    """A batch that leaves the queue while the queue is listed is left out, not taken for a damaged one."""

    class Moving(PowerLossDisk):
        def read(self, path: str) -> bytes:
            if path == f"{one.path}/state" and self.exists(path):
                self.rename(one.path, f"{PATH}/quarantine/{one.id}")
            return super().read(path)

    made = make()
    one, other = accept(made, b"a", b"b")
    disk = Moving(made.disk.settled().medium)  # type: ignore[attr-defined]
    assert [batch.id for batch in Box(disk, made.clock, PATH).waiting()] == [other.id]
