"""The file of day checksums: its bytes are fixed, and damage is detected."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.intake.ledger.day_checksums import EMPTY, DayChecksum, decode, encode

COUNTS = {-1: DayChecksum(2**40, 2**41, 2**32 - 1), 20_412: DayChecksum(3, 5, 7)}


def test_day_checksums_are_pinned() -> None:
    """A head, 24 bytes a day, and the CRC-32 of all that."""
    head = b"irmexport tally 2\n" + bytes.fromhex("00004fbc0000000000000003000000000000000500000007")
    assert encode({20_412: DayChecksum(3, 5, 7)}) == head + struct.pack(">I", zlib.crc32(head))
    assert DayChecksum(0, 0, 0) == EMPTY


@given(
    st.dictionaries(
        st.integers(-(2**31), 2**31 - 1),
        st.builds(
            DayChecksum, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)
        ),
    )
)
def test_counts_come_back(counts: dict[int, DayChecksum]) -> None:
    """What was written is read."""
    assert decode(encode(counts)) == counts


def test_every_flip_and_every_cut_is_detected() -> None:
    """No bit can change and no byte can go without being noticed."""
    data = encode(COUNTS)
    for bit in range(len(data) * 8):
        other = bytearray(data)
        other[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="not a file of day checksums"):
            decode(bytes(other))
    for size in range(len(data)):
        with pytest.raises(ValueError, match="not a file of day checksums"):
            decode(data[:size])


@pytest.mark.parametrize("body", [b"irmexport tally 1\n", b"irmexport tally 2\nan entry that is too short"])
def test_another_format_is_refused(body: bytes) -> None:
    """A checksum that is right does not make a file one of day checksums."""
    with pytest.raises(ValueError, match="not a file of day checksums"):
        decode(body + struct.pack(">I", zlib.crc32(body)))
