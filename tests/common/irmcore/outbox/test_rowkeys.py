"""The rowkeys file of a batch: its bytes are fixed, and damage is detected."""

from __future__ import annotations

import struct
import zlib

import pytest
from irmcore.outbox.rowkeys import RECORD, Damaged, RowKey, pack, split_rowkeys, unpack


def key(number: int) -> RowKey:
    """A row key made from its number."""
    return RowKey(number, b"%08d%08d%08d" % (number, number, 0), 20_412, b"batch--1")


def test_a_record_is_pinned() -> None:
    """A record is 44 bytes: (user, time) key, row key, day, batch; big-endian. A CRC-32 ends the file."""
    record = struct.pack(">Q", 2**63) + b"k" * 24 + struct.pack(">i", -1) + b"b" * 8
    row = RowKey(2**63, b"k" * 24, -1, b"b" * 8)
    data = record * 2 + struct.pack(">I", zlib.crc32(record * 2))
    assert (pack([row, row]), len(record), RECORD.size) == (data, 44, 44)
    assert list(unpack(data)) == [row, row]
    assert (pack([]), list(unpack(b""))) == (b"", [])


def test_every_flipped_bit_is_detected() -> None:
    """A change of any single bit of a rowkeys file is detected."""
    whole = pack([key(1), key(2)])
    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            list(unpack(bytes(data)))


@pytest.mark.parametrize("size", range(1, 2 * 44 + 4))
def test_a_truncated_file_is_damaged(size: int) -> None:
    """A truncated rowkeys file is never read as one with fewer rows."""
    with pytest.raises(Damaged):
        list(unpack(pack([key(1), key(2)])[:size]))


def test_the_row_keys_of_a_split_batch() -> None:
    """The parts hold the batch's row keys in order; each part of a damaged file is damaged."""
    rows = [key(number) for number in range(5)]
    assert split_rowkeys(pack(rows), [2, 3]) == [pack(rows[:2]), pack(rows[2:])]
    assert split_rowkeys(b"damaged", [2, 3]) == [b"damaged", b"damaged"]
