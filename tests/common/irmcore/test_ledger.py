"""The row ledger: its bytes, and that it always comes to say what the batches say."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import pytest
from irmcore.ledger import DAY_MICROSECONDS, RECORD_BYTES, Damaged, Ledger, RowKey, pack, unpack

from tests.fakes.powerloss import PowerLossDisk

PATH = "/ledger"
DAY = 20_412  # 2025-11-20
FILE = f"{PATH}/days/2025/2025-11-20.rows"


def key(number: int, *, day: int = DAY, batch: bytes = b"batch--1") -> RowKey:
    """A row key that is told by its number."""
    return RowKey(b"%016d" % number, b"%08d" % number, number, batch, day)


def new(disk: PowerLossDisk | None = None, **settings: int) -> tuple[PowerLossDisk, Ledger]:
    """An empty ledger."""
    disk = disk or PowerLossDisk()
    made = Ledger(disk, PATH, **settings)
    made.create()
    made.rebuild(lambda: iter(()))
    return disk, made


def again(disk: PowerLossDisk) -> Ledger:
    """The ledger as a next process reads it."""
    return Ledger(disk, PATH)


def known(ledger: Ledger, day: int = DAY) -> set[int]:
    """The numbers of the keys that the ledger has of a day."""
    return {int(found) for found in ledger.day(day).keys}


def test_a_record_is_pinned() -> None:
    """A record is 48 bytes: key, subject, slot, batch and day, big-endian, and the CRC-32 of all that."""
    body = b"k" * 16 + b"s" * 8 + struct.pack(">Q", 2**63) + b"b" * 8 + struct.pack(">i", -1)
    record = body + struct.pack(">I", zlib.crc32(body))
    row = RowKey(b"k" * 16, b"s" * 8, 2**63, b"b" * 8, -1)
    assert (pack([row]), len(record), RECORD_BYTES) == (record, 48, 48)
    assert list(unpack(record + bytes(48) + record)) == [row, row]


def test_every_flip_of_a_bit_is_noticed() -> None:
    """No bit of a record can change without being noticed."""
    record = pack([key(1)])
    for bit in range(len(record) * 8):
        data = bytearray(record)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            list(unpack(bytes(data)))


@pytest.mark.parametrize("size", range(1, 48))
def test_half_a_record_is_damage(size: int) -> None:
    """A record that is cut off is never taken for none."""
    with pytest.raises(Damaged):
        list(unpack(pack([key(1)]) + pack([key(2)])[:size]))


def test_the_layout_is_pinned() -> None:
    """Rows lie in one file an event date, by year, and announcements beside them."""
    disk, ledger = new()
    assert (DAY + 1) * DAY_MICROSECONDS == 1_763_683_200_000_000
    ledger.merge([key(1), key(2, day=DAY + 42), key(3)])
    ledger.announce("run-1", ["aa", "bb"])
    files = {path: data for path, data in disk.settled().medium.tree() if data is not None}
    assert files == {
        FILE: pack([key(1), key(3)]),
        f"{PATH}/days/2026/2026-01-01.rows": pack([key(2, day=DAY + 42)]),
        f"{PATH}/pending/run-1": b'["aa", "bb"]',
    }


def test_what_was_merged_is_known() -> None:
    """Keys, subjects and slots are known to this process at once, and to the next one."""
    disk, ledger = new()
    assert known(ledger) == set()
    ledger.merge([key(1)])
    ledger.merge([key(2)])
    for reader in (ledger, again(disk)):
        day = reader.day(DAY)
        assert day.keys == {b"%016d" % 1, b"%016d" % 2}
        assert day.subjects == {b"%08d" % 1, b"%08d" % 2}
        assert day.slots == {1, 2}
        assert known(reader, DAY + 1) == set()


def test_rows_are_forgotten_one_by_one() -> None:
    """A withdrawn batch's rows go, and the same rows of another batch stay."""
    disk, ledger = new()
    ledger.merge([key(1), key(2), key(3)])
    ledger.merge([key(1, batch=b"batch--2")])
    ledger.forget([key(1), key(2)])
    ledger.forget([key(1), key(2), key(9, day=DAY + 1)])
    assert known(ledger) == known(again(disk)) == {1, 3}
    ledger.forget([key(1, batch=b"batch--2")])
    assert known(ledger) == {3}


def test_merging_again_changes_nothing() -> None:
    """Rows that are redone stand once, whatever part of them stood before."""
    disk, ledger = new()
    rows = [key(number) for number in range(5)]
    ledger.merge(rows[:3])
    for _ in range(2):
        ledger.redo(rows)
        assert disk.read(FILE) == pack(rows)


@pytest.mark.parametrize("torn", [1, 47, 48, 49, 96, 100, 143])
@pytest.mark.parametrize("blank", [False, True])
def test_a_merge_cut_off_is_redone(torn: int, *, blank: bool) -> None:
    """Whatever part of a write arrived, and if it is zeros, redoing the run makes the file whole."""
    disk, ledger = new()
    ledger.merge([key(1)])
    rows = [key(2), key(3), key(4)]
    part = bytes(torn) if blank else pack(rows)[:torn]
    disk.append(FILE, part)
    after = again(disk)
    after.redo(rows)
    assert disk.read(FILE) == pack([key(1), *rows])
    assert known(after) == {1, 2, 3, 4}


def test_a_merge_begins_at_a_whole_record() -> None:
    """Rows that follow half a record stand where a reader looks for them."""
    disk, ledger = new()
    ledger.merge([key(1)])
    disk.append(FILE, b"half")
    ledger.merge([key(2)])
    assert disk.read(FILE) == pack([key(1)]) + b"half".ljust(48, b"\0") + pack([key(2)])


def test_damage_is_repaired_or_told() -> None:
    """A damaged file is rebuilt by whoever can, and never trusted by whoever cannot."""
    disk, ledger = new()
    ledger.merge([key(1), key(2)])
    disk.write_at(FILE, 60, b"\xff")
    with pytest.raises(Damaged):
        again(disk).day(DAY)
    repaired: list[str] = []

    def repair() -> None:
        repaired.append("once")
        again(disk).rebuild(lambda: iter([[key(1)], [key(2)]]))

    mended = Ledger(disk, PATH, repair=repair)
    assert (known(mended), repaired) == ({1, 2}, ["once"])
    assert disk.read(FILE) == pack([key(1), key(2)])


def test_a_rebuild_holds_what_the_batches_hold() -> None:
    """After a rebuild the index has the rows of the batches, and nothing else that it had before."""
    disk, ledger = new()
    ledger.merge([key(1), key(7, day=DAY + 1)])
    assert ledger.rebuild(lambda: iter([[key(2), key(3)], [], [key(4, day=DAY + 2)]])) == 3
    for reader in (ledger, again(disk)):
        assert [known(reader, DAY + more) for more in range(3)] == [{2, 3}, set(), {4}]
        assert reader.complete()
    assert disk.names(PATH) == ["days", "pending"]


def test_a_rebuild_cut_off_is_known_for_one() -> None:
    """A rebuild that ends at any operation leaves the old index, or none, or the new one: never a part."""
    number = 0
    while True:
        number += 1
        disk, ledger = new()
        ledger.merge([key(1), key(2, day=DAY + 1)])
        disk.fail_at[disk.operations + number] = 5
        batches: list[Iterable[RowKey]] = [[key(1)], [key(2, day=DAY + 1)], [key(3)]]
        try:
            ledger.rebuild(lambda: iter(batches))  # noqa: B023 - called at once
        except OSError:
            after = again(disk)
            if after.complete():
                assert (known(after), known(after, DAY + 1)) in [({1}, {2}), ({1, 3}, {2})]
            after.rebuild(lambda: iter(batches))  # noqa: B023 - called at once
            assert (known(after), known(after, DAY + 1)) == ({1, 3}, {2})
        else:
            break
    assert number > 15


def test_announcements_stand_until_they_are_settled() -> None:
    """A run's announcement is read by the next process, and gone after it is settled."""
    disk, ledger = new()
    ledger.announce("run-1", ["aa"])
    ledger.announce("run-2", [])
    assert again(disk).announced() == {"run-1": ["aa"], "run-2": []}
    ledger.settle("run-1")
    assert again(disk).announced() == {"run-2": []}


@pytest.mark.parametrize("data", [b"", b'["aa', b"\0\0\0\0", b"\xff"])
def test_an_announcement_cut_off_names_nothing(data: bytes) -> None:
    """An announcement that was never whole has no batches; a foreign file beside it is passed over."""
    disk, ledger = new()
    disk.create(f"{PATH}/pending/run-1", data)
    disk.create(f"{PATH}/pending/.DS_Store", b"foreign")
    assert ledger.announced() == {"run-1": []}


def test_the_dates_used_longest_ago_leave_memory() -> None:
    """Memory has a bound: dates beyond it are read again from disk, and are as right as before."""
    disk, ledger = new(memory=5)
    for day in range(4):
        ledger.merge([key(10 * day + row, day=DAY + day) for row in range(2)])
    reads: list[str] = []

    class Counting(PowerLossDisk):
        def read(self, path: str) -> bytes:
            reads.append(path[-7:-5])
            return super().read(path)

    ledger = Ledger(Counting(disk.settled().medium), PATH, memory=5)
    for day in (0, 1, 0, 2, 0, 1, 0):
        assert known(ledger, DAY + day) == {10 * day, 10 * day + 1}
    assert reads == ["20", "21", "22", "21"]


def test_one_date_is_always_kept() -> None:
    """A date with more keys than the bound is read once, not for each row."""
    disk, ledger = new(memory=1)
    ledger.merge([key(row) for row in range(9)])
    ledger = Ledger(disk, PATH, memory=1)
    assert ledger.day(DAY) is ledger.day(DAY)
