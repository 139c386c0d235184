"""The rowkeys file of a batch: its bytes are fixed, and damage is detected."""

from __future__ import annotations

import hashlib
import struct
import zlib

import pytest
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.rowkeys import (
    RECORD,
    Damaged,
    RowKey,
    divided,
    generation_of,
    pack,
    pack_columns,
    seal,
    unpack,
    unseal,
    unseal_all,
)


def key(number: int) -> RowKey:
    """A row key made from its number."""
    return RowKey(number, b"%08d%08d%08d" % (number, number, 0), 20_412, b"batch--1")


RING = Keyring("an outbox", (b"s" * 32,))


def test_a_record_is_pinned() -> None:
    """A record is 53 bytes: (user, time) key, row key, day, batch, time, precision; big-endian."""
    record = (
        struct.pack(">Q", 2**63) + b"k" * 24 + struct.pack(">i", -1) + b"b" * 8 + struct.pack(">qB", 7, 2)
    )
    row = RowKey(2**63, b"k" * 24, -1, b"b" * 8, 7, 2)
    assert (pack([row]), len(record), RECORD.size) == (record, 53, 53)
    assert list(unpack(record * 2)) == [row, row]


def test_a_file_is_pinned() -> None:
    """A file has a header, a nonce, and the records with a CRC-32, encrypted by XOR with SHAKE-256."""
    records = pack([key(1), key(2)])
    header = b"irmkeys\n" + struct.pack(">HHHI", 1, 1, 53, 2)
    text = records + struct.pack(">I", zlib.crc32(header + records))
    data = seal(RING, records)
    nonce = data[18:34]
    stream = hashlib.shake_256(b"s" * 32 + nonce).digest(len(text))
    assert data == header + nonce + bytes(a ^ b for a, b in zip(text, stream))
    assert (unseal(RING, data), generation_of(data)) == (records, 1)
    assert seal(RING, records) != data


def test_nothing_of_a_row_key_can_be_read_without_the_secret() -> None:
    """No eight bytes of a record are in the file, and another secret opens nothing."""
    records = pack([key(1), key(2)])
    data = seal(RING, records)
    assert not any(records[at : at + 8] in data for at in range(len(records) - 7))
    with pytest.raises(Damaged):
        unseal(Keyring("an outbox", (b"t" * 32,)), data)


def test_an_older_generation_is_still_read() -> None:
    """After a rotation, files of both generations are read; the new one is unknown to the old keyring."""
    rotated = RING.rotated()
    old, new = seal(RING, pack([key(1)])), seal(rotated, pack([key(2)]))
    assert (generation_of(old), generation_of(new)) == (1, 2)
    assert unseal_all(rotated, old + new) == pack([key(1), key(2)])
    with pytest.raises(Damaged):
        unseal(RING, new)


def test_every_flipped_bit_is_detected() -> None:
    """A change of any single bit of a rowkeys file is detected."""
    whole = seal(RING, pack([key(1), key(2)]))
    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            unseal(RING, bytes(data))


@pytest.mark.parametrize("size", range(18 + 16 + 2 * 53 + 4))
def test_a_truncated_file_is_damaged(size: int) -> None:
    """A truncated rowkeys file is never read as one with fewer rows."""
    with pytest.raises(Damaged):
        unseal(RING, seal(RING, pack([key(1), key(2)]))[:size])


def test_the_row_keys_of_a_split_batch() -> None:
    """The parts hold the batch's row keys in order."""
    rows = [key(number) for number in range(5)]
    assert divided(pack(rows), [2, 3]) == [pack(rows[:2]), pack(rows[2:])]


def test_columns_give_the_records_of_rows() -> None:
    """A record made from columns is that of the row."""
    rows = [RowKey(at, b"%024d" % at, at % 2, b"batch--1", 1_700_000 * at, at) for at in range(4)]
    identities = [struct.pack(">Q24s", row.user_time, row.key) for row in rows]
    originals = [struct.pack(">qB", row.time, row.precision) for row in rows]
    assert pack_columns(identities, [row.day for row in rows], b"batch--1", originals) == pack(rows)


def header(magic: bytes, version: int, size: int = 53, rows: int = 1) -> bytes:
    """A header of generation 1."""
    return struct.pack(">8sHHHI", magic, version, 1, size, rows)


@pytest.mark.parametrize(
    "head",
    [header(b"irmkeyz\n", 1), header(b"irmkeys\n", 0), header(b"irmkeys\n", 2), header(b"irmkeys\n", 1, 52)],
)
def test_a_header_of_another_format_is_damage(head: bytes) -> None:
    """Even if the rest of the file fits it."""
    records = pack([key(1)])
    data = head + RING.encrypted(records + struct.pack(">I", zlib.crc32(head + records)))
    with pytest.raises(Damaged):
        unseal(RING, data)
    assert generation_of(data) == (1 if head[:8] == b"irmkeys\n" and head[9] == 1 else 0)


@pytest.mark.parametrize("crc", [0, 2**32 - 1])
def test_another_checksum_is_damage(crc: int) -> None:
    """Whether it is smaller or larger than the right one."""
    head = header(b"irmkeys\n", 1)
    with pytest.raises(Damaged):
        unseal(RING, head + RING.encrypted(pack([key(1)]) + struct.pack(">I", crc)))


def test_bytes_after_the_records_are_damage() -> None:
    """A file ends with its checksum; several files have nothing between them."""
    data = seal(RING, pack([key(1)]))
    for read in (unseal, unseal_all):
        with pytest.raises(Damaged):
            read(RING, data + b"\0")
    assert unseal_all(RING, data * 3) == pack([key(1)] * 3)
    assert unseal_all(RING, b"") == b""


def test_the_generation_of_a_header_that_is_cut_off() -> None:
    """A header alone is enough, and less than one is not."""
    data = seal(RING.rotated(), b"")
    assert [generation_of(data[:size]) for size in (0, 17, 18)] == [0, 0, 2]
