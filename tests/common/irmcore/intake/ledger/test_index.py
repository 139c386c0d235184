"""The row ledger: its files, and that it always agrees with the batches in the end."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from irmcore.intake.ledger import day_checksums
from irmcore.intake.ledger.day import DAY_MICROSECONDS
from irmcore.intake.ledger.day_checksums import DayChecksum
from irmcore.intake.ledger.index import Ledger
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.rowkeys import Damaged, RowKey, pack, seal, unseal_all

from tests.fakes.powerloss import PowerLossDisk

PATH = "/ledger"
DAY = 20_412  # 2025-11-20
RING = Keyring("an outbox", (b"s" * 32,))
FILE = f"{PATH}/days/2025/2025-11-20.rows"


def key(number: int, *, day: int = DAY, batch: bytes = b"batch--1") -> RowKey:
    """A row key made from its number."""
    return RowKey(number, b"%08d%08d%08d" % (number, number, 0), day, batch)


def records(*rows: RowKey) -> bytes:
    """The records of these rows, as in a batch."""
    return pack(rows)


def stored(disk: PowerLossDisk) -> bytes:
    """The records in the day's file, as far as they count."""
    checksums = day_checksums.decode(disk.read(f"{PATH}/days/tally"))
    return unseal_all(RING, disk.read(FILE)[: checksums[DAY].size])


def new(disk: PowerLossDisk | None = None, **settings: int) -> tuple[PowerLossDisk, Ledger]:
    """An empty ledger."""
    disk = disk or PowerLossDisk()
    made = Ledger(disk, PATH, RING, **settings)
    made.create()
    made.rebuild(list)
    return disk, made


def again(disk: PowerLossDisk) -> Ledger:
    """The ledger as the next process reads it."""
    return Ledger(disk, PATH, RING)


def known(ledger: Ledger, day: int = DAY) -> set[int]:
    """The numbers of the keys that the ledger has for a day."""
    return {int(found[:8]) for found in ledger.day(day).all_keys()}


def test_the_layout_is_pinned() -> None:
    """There is one file per event date, by year, one file of checksums, and one per announcement."""
    disk, ledger = new()
    assert (DAY + 1) * DAY_MICROSECONDS == 1_763_683_200_000_000
    ledger.merge([records(key(1), key(2, day=DAY + 42)), records(key(3))])
    ledger.announcements.announce("run-1", ["aa", "bb"])
    files = {path: data for path, data in disk.synced().medium.tree() if data is not None}
    first, second = files[FILE], files[f"{PATH}/days/2026/2026-01-01.rows"]
    assert unseal_all(RING, first) == records(key(1), key(3))
    assert unseal_all(RING, second) == records(key(2, day=DAY + 42))
    assert files == {
        FILE: first,
        f"{PATH}/days/2026/2026-01-01.rows": second,
        f"{PATH}/days/tally": day_checksums.encode(
            {
                DAY: DayChecksum(2, len(first), zlib.crc32(first)),
                DAY + 42: DayChecksum(1, len(second), zlib.crc32(second)),
            }
        ),
        f"{PATH}/pending/run-1": b'["aa", "bb"]',
    }


def test_what_was_merged_is_known() -> None:
    """This process and the next one know keys, subjects and (user, time) keys."""
    disk, ledger = new()
    assert not ledger.has(DAY)
    ledger.merge([records(key(1))])
    ledger.merge([records(key(2))])
    for reader in (ledger, again(disk)):
        assert reader.has(DAY)
        assert not reader.has(DAY + 1)
        day = reader.day(DAY)
        assert known(reader) == {1, 2}
        assert [day.has(key(number).key) for number in (1, 2, 3)] == [True, True, False]
        changed = key(1).key[:16] + b"another!"
        assert (day.has(changed), day.has_subject(changed), day.has_subject(key(3).key)) == (
            False,
            True,
            False,
        )
        assert [day.has_user_time(key) for key in (1, 2, 3)] == [True, True, False]
        assert day.known([changed, key(3).key, key(4).key], [7, 2, 8]) == {0, 1}
        assert known(reader, DAY + 1) == set()


def test_rows_are_forgotten_one_by_one() -> None:
    """A withdrawn batch's rows go, and the same rows of another batch stay."""
    disk, ledger = new()
    ledger.merge([records(key(1), key(2), key(3))])
    ledger.merge([records(key(1, batch=b"batch--2"))])
    ledger.remove(records(key(1), key(2)))
    ledger.remove(records(key(1), key(2), key(9, day=DAY + 1)))
    assert known(ledger) == known(again(disk)) == {1, 3}
    ledger.remove(records(key(1, batch=b"batch--2")))
    ledger.remove(records(key(3)))
    assert known(ledger) == known(again(disk)) == set()
    ledger.merge([records(key(4))])
    assert known(ledger) == known(again(disk)) == {4}


def test_merging_again_changes_nothing() -> None:
    """Rows that are redone stand once, whatever part of them stood before."""
    disk, ledger = new()
    rows = [key(number) for number in range(5)]
    ledger.merge([records(*rows[:3])])
    for _ in range(2):
        ledger.merge_missing(records(*rows))
        assert stored(disk) == records(*rows)


@pytest.mark.parametrize("torn", [1, 43, 44, 45, 88, 100, 131])
@pytest.mark.parametrize("blank", [False, True])
def test_a_merge_cut_off_is_redone(torn: int, *, blank: bool) -> None:
    """Whatever part of a write arrived, and if it is zeros, redoing the run makes the file whole."""
    disk, ledger = new()
    ledger.merge([records(key(1))])
    rows = [key(2), key(3), key(4)]
    disk.append(FILE, bytes(torn) if blank else seal(RING, records(*rows))[:torn])
    after = again(disk)
    assert known(after) == {1}
    after.merge_missing(records(*rows))
    assert stored(disk) == records(key(1), *rows)
    assert known(after) == known(again(disk)) == {1, 2, 3, 4}


def damaged(disk: PowerLossDisk, how: str) -> None:
    """Do that to the day's file, or the day_checksums."""
    size = disk.size(FILE)
    if how == "altered":
        disk.write_at(FILE, 60, b"\xff")
    elif how == "removed":
        disk.remove(FILE)
    elif how == "tally":
        disk.write_at(f"{PATH}/days/tally", 20, b"\xff")
    elif how == "no tally":
        disk.remove(f"{PATH}/days/tally")
    else:
        data = disk.read(FILE)
        disk.remove(FILE)
        disk.create(FILE, {"cut": data[: size - 44], "zeroed": data[:44] + bytes(44), "empty": b""}[how])


@pytest.mark.parametrize("how", ["altered", "removed", "cut", "zeroed", "empty", "tally", "no tally"])
def test_damage_is_repaired_or_told(how: str) -> None:
    """Rows that are damaged or gone are noticed: rebuilt by whoever can, never trusted by whoever cannot."""
    disk, ledger = new()
    ledger.merge([records(key(1), key(2))])
    damaged(disk, how)
    with pytest.raises(Damaged):
        again(disk).day(DAY)
    with pytest.raises(Damaged):
        again(disk).merge_missing(records(key(3)))
    repaired: list[str] = []

    def repair() -> None:
        repaired.append("once")
        again(disk).rebuild(lambda: [records(key(1)), records(key(2))])

    mended = Ledger(disk, PATH, RING, repair=repair)
    assert (known(mended), repaired) == ({1, 2}, ["once"])
    assert stored(disk) == records(key(1), key(2))


def test_rows_are_not_added_where_rows_are_gone() -> None:
    """A merge into a file that should be there, and is not, is refused: else the loss would be covered."""
    disk, ledger = new()
    ledger.merge([records(key(1))])
    disk.remove(FILE)
    with pytest.raises(Damaged):
        again(disk).merge([records(key(2))])
    assert not disk.exists(FILE)


def test_a_replacement_cut_off_is_finished() -> None:
    """A date that is written anew, cut off at any operation, is the old one or the new one."""
    for number in range(1, 100):
        disk, ledger = new()
        ledger.merge([records(key(1), key(2))])
        disk.fail_at[disk.operations + number] = 5
        try:
            ledger.remove(records(key(1)))
        except OSError:
            after = again(disk)
            assert known(after) in ({1, 2}, {2})
            after.remove(records(key(1)))
            assert known(after) == {2}
            after.merge([records(key(3))])
            assert known(again(disk)) == {2, 3}
        else:
            break
    assert number == 8


def test_a_rebuild_holds_what_the_batches_hold() -> None:
    """After a rebuild the index has the rows of the batches, and nothing else that it had before."""
    disk, ledger = new()
    ledger.merge([records(key(1), key(7, day=DAY + 1))])
    assert ledger.rebuild(lambda: [records(key(2), key(3)), b"", records(key(4, day=DAY + 2))]) == 3
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
        ledger.merge([records(key(1), key(2, day=DAY + 1))])
        disk.fail_at[disk.operations + number] = 5
        batches = [records(key(1)), records(key(2, day=DAY + 1)), records(key(3))]
        try:
            ledger.rebuild(lambda: batches)  # noqa: B023 - called at once
        except OSError:
            after = again(disk)
            if after.complete():
                assert (known(after), known(after, DAY + 1)) in [({1}, {2}), ({1, 3}, {2})]
            after.rebuild(lambda: batches)  # noqa: B023 - called at once
            assert (known(after), known(after, DAY + 1)) == ({1, 3}, {2})
        else:
            break
    assert number > 15


def test_announcements_stay_until_they_are_discarded() -> None:
    """The next process reads a run's announcement until it is discarded."""
    disk, ledger = new()
    ledger.announcements.announce("run-1", ["aa"])
    ledger.announcements.announce("run-2", [])
    assert again(disk).announcements.all() == {"run-1": ["aa"], "run-2": []}
    ledger.announcements.discard("run-1")
    assert again(disk).announcements.all() == {"run-2": []}


@pytest.mark.parametrize("data", [b"", b'["aa', b"\0\0\0\0", b"\xff", b"7", b"[" * 100_000])
def test_a_truncated_announcement_names_no_batch(data: bytes) -> None:
    """An incomplete announcement has no batches, and a foreign file beside it is ignored."""
    disk, ledger = new()
    disk.create(f"{PATH}/pending/run-1", data)
    disk.create(f"{PATH}/pending/.DS_Store", b"foreign")
    assert ledger.announcements.all() == {"run-1": []}


def test_least_recently_used_dates_leave_memory() -> None:
    """Memory is bounded: dates beyond the bound are read from disk again, with the same rows."""
    disk, ledger = new(cached_rows=5)
    for day in range(4):
        ledger.merge([records(*(key(10 * day + row, day=DAY + day) for row in range(2)))])
    reads: list[str] = []

    class Counting(PowerLossDisk):
        def read(self, path: str) -> bytes:
            if path.endswith(".rows"):
                reads.append(path[-7:-5])
            return super().read(path)

    ledger = Ledger(Counting(disk.synced().medium), PATH, RING, cached_rows=5)
    for day in (0, 1, 0, 2, 0, 1, 0):
        assert known(ledger, DAY + day) == {10 * day, 10 * day + 1}
    assert reads == ["20", "21", "22", "21"]


def test_one_date_is_always_kept() -> None:
    """A date with more keys than the bound is read once, not once per row."""
    disk, ledger = new(cached_rows=1)
    ledger.merge([records(*map(key, range(9)))])
    ledger = Ledger(disk, PATH, RING, cached_rows=1)
    assert ledger.day(DAY) is ledger.day(DAY)


def test_a_date_without_rows_takes_little_memory() -> None:
    """Thousands of dates without rows may be cached, so each takes a few kilobytes at most."""
    _, ledger = new()
    tracemalloc.start()
    try:
        assert not any(ledger.day(DAY + number).has_user_time(1) for number in range(100))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 100 * 16_000
