"""The files of the row ledger: what counts of them is what the checksums say, and nothing else."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.intake.ledger.day_files import DayFiles, group_by_day, split_records
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.rowkeys import Damaged, RowKey, pack, seal

from tests.fakes.powerloss import PowerLossDisk

RING = Keyring("an outbox", (b"s" * 32,))
DAY = 20_412  # 2025-11-20
FILE = "/days/2025/2025-11-20.rows"


def record(number: int, day: int = DAY) -> bytes:
    """A record made from its number."""
    return pack([RowKey(number, b"%024d" % number, day, b"batch--1")])


def made(*numbers: int) -> tuple[PowerLossDisk, DayFiles]:
    """Files with these records of one day, in a single append."""
    disk = PowerLossDisk()
    files = DayFiles(disk, "/days", RING)
    files.create()
    if numbers:
        files.append({DAY: b"".join(map(record, numbers))})
    return disk, files


def test_another_file_of_the_same_length_is_damage() -> None:
    """A file of rows that is whole in itself does not count if the checksum is of another one."""
    disk, files = made(1, 2)
    disk.remove(FILE)
    disk.create(FILE, seal(RING, record(1) + record(3)))
    with pytest.raises(Damaged):
        files.read(DAY)


@pytest.mark.parametrize("numbers", [(7,), (7, 8), (7, 8, 9)])
def test_a_new_file_that_is_not_counted_is_dropped(numbers: tuple[int, ...]) -> None:
    """A replacement that was cut off before its checksum leaves the old file, whatever its own length."""
    disk, files = made(1, 2)
    disk.create(f"{FILE}.new", seal(RING, b"".join(map(record, numbers))))
    assert files.read(DAY) == record(1) + record(2)
    files.append({DAY: record(3)})
    assert files.read(DAY) == record(1) + record(2) + record(3)
    assert disk.names("/days/2025") == ["2025-11-20.rows"]


def test_a_new_file_that_is_counted_is_the_one() -> None:
    """A replacement that was cut off after its checksum is read, and put in place by the next write."""
    disk, files = made(1, 2)
    old = disk.read(FILE)
    files.replace(DAY, record(7))
    assert (files.checksum(DAY).rows, files.checksum(DAY).size) == (1, disk.size(FILE))
    disk.rename(FILE, f"{FILE}.new")
    disk.create(FILE, old)
    assert files.read(DAY) == record(7)
    files.append({DAY: record(8)})
    assert files.read(DAY) == record(7) + record(8)
    assert disk.names("/days/2025") == ["2025-11-20.rows"]
    assert files.checksum(DAY).rows == 2
    assert files.read(DAY - 1) == files.read(DAY + 1) == b""


def test_checksums_that_were_cut_off_are_written_anew() -> None:
    """What is left of an interrupted replacement of the checksums is in nobody's way."""
    disk, files = made(1)
    disk.create("/days/tally.new", b"cut o")
    files.append({DAY: record(2)})
    assert DayFiles(disk, "/days", RING).read(DAY) == record(1) + record(2)
    assert disk.names("/days") == ["2025", "tally"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-3, 3)), max_size=12))
def test_records_are_grouped_by_their_day(rows: list[tuple[int, int]]) -> None:
    """Each day has its records, in their order."""
    records = [record(number, day) for number, day in rows]
    wanted: defaultdict[int, bytes] = defaultdict(bytes)
    for (_, day), each in zip(rows, records):
        wanted[day] += each
    assert group_by_day(b"".join(records)) == wanted
    assert split_records(b"".join(records)) == records
