"""The state file: its bytes, and which record counts after damage of every kind."""

from __future__ import annotations

import zlib

import pytest
from irmcore.errors import UnknownFormat
from irmcore.outbox import state_file
from irmcore.outbox.state_file import RECORD_BYTES, RECORD_COUNT, StateFile

from tests.fakes.powerloss import PowerLossDisk


def file_with(*records: int) -> bytes:
    """A state file into which records of these numbers were written, each {"x": number}."""
    disk = PowerLossDisk()
    disk.create("/s", state_file.new_file({"x": 0}))
    for number in records:
        state_file.write(disk, "/s", {"x": number}, number)
    return disk.read("/s")


def test_a_record_is_pinned() -> None:
    """A record is 512 bytes: JSON text with version and number, spaces, a CRC-32 in hex and a newline."""
    record = state_file.encode({"x": "y"}, 3)
    assert record == b'{"v":1,"n":3,"x":"y"}'.ljust(503) + b"8147298b\n"
    assert len(record) == RECORD_BYTES


def test_a_file_is_pinned() -> None:
    """A new file has 4,096 bytes: the first record and space for seven."""
    assert file_with() == state_file.encode({"x": 0}, 0) + bytes(7 * 512)
    assert state_file.reserved_file() == bytes(4096)


def test_a_record_must_fit() -> None:
    """A record of more than 503 bytes is refused before anything is written."""
    state_file.encode({"x": "y" * 480}, 0)
    with pytest.raises(ValueError, match="larger than 503 bytes"):
        state_file.encode({"x": "y" * 500}, 0)


@pytest.mark.parametrize("last", [0, 1, 7, 8, 9, 30])
def test_the_newest_record_counts(last: int) -> None:
    """Records are written in turn, and the one with the highest number counts."""
    found = state_file.decode(file_with(*range(1, last + 1)), "s")
    assert found == StateFile({"v": 1, "n": last, "x": last}, last, damaged=False)


def test_no_record_at_all() -> None:
    """Reserved space without a record has none, and is not damaged."""
    assert state_file.decode(state_file.reserved_file(), "s") == StateFile(None, -1, damaged=False)


@pytest.mark.parametrize("sectors", range(RECORD_BYTES))
def test_a_torn_record_leaves_the_one_before(sectors: int) -> None:
    """However many bytes of a record arrived, the newest whole record counts and the damage is noticed."""
    old, new = file_with(1), file_with(1, 2)
    torn = old[: 2 * RECORD_BYTES] + new[2 * RECORD_BYTES :][:sectors] + old[2 * RECORD_BYTES + sectors :]
    found = state_file.decode(torn, "s")
    assert found.number == (2 if torn == new else 1)
    assert found.damaged == (torn not in (old, new))


def test_every_bit_flip_is_noticed() -> None:
    """A change of any single bit is detected, even where nothing was written yet."""
    whole = file_with(1, 2)
    for bit in range(0, len(whole) * 8, 7):  # 7 and 8 have no common factor, so every bit position occurs
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        assert state_file.decode(bytes(data), "s").damaged, bit


@pytest.mark.parametrize("data", [b"", b"x", bytes(4095), bytes(4097)])
def test_a_wrong_size_is_damage(data: bytes) -> None:
    """A file that is not 4,096 bytes long is damaged."""
    assert state_file.decode(data, "s") == StateFile(None, -1, damaged=True)


def test_a_record_in_the_wrong_place_is_damage() -> None:
    """A complete record in the position of another number does not count."""
    data = state_file.encode({"x": 1}, 1) + bytes(7 * 512)
    assert state_file.decode(data, "s") == StateFile(None, -1, damaged=True)


@pytest.mark.parametrize("text", [b"[1]", b"7", b"{}", b'{"v":1}', b'{"v":1,"n":"0"}', b"{"])
def test_a_right_crc_over_something_else_is_damage(text: bytes) -> None:
    """What is not a state record does not count, even with a right CRC."""
    body = text.ljust(503)
    data = body + b"%08x\n" % zlib.crc32(body) + bytes(7 * 512)
    assert state_file.decode(data, "s") == StateFile(None, -1, damaged=True)


def test_a_later_version_is_refused() -> None:
    """A record of an unknown version is an error of its own, with the next step."""
    record = state_file.encode({"v": 2, "x": 1}, 0)
    with pytest.raises(UnknownFormat, match="format 2") as error:
        state_file.decode(record + bytes(7 * 512), "here/state")
    assert error.value.where == "here/state"


def test_mending_keeps_the_record() -> None:
    """After a repair only the newest record is left, and nothing is damaged."""
    disk = PowerLossDisk()
    disk.create("/s", file_with(1, 2))
    disk.write_at("/s", 5, b"damage")
    assert state_file.decode(disk.read("/s"), "s").damaged
    state_file.repair(disk, "/s", 2)
    assert state_file.decode(disk.read("/s"), "s") == StateFile({"v": 1, "n": 2, "x": 2}, 2, damaged=False)
    assert len(disk.read("/s")) == RECORD_BYTES * RECORD_COUNT
