"""The ``rowkeys`` file of a batch: which rows the batch holds.

A header (magic, version, generation of the key, bytes of a record, number of records), then, encrypted, the
records of 53 bytes and a CRC-32 of header and records. The file becomes durable with its batch, so it is the
truth about accepted rows. The row ledger is an index over these files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

from irmcore.outbox.keyring import NONCE_BYTES, Keyring

#: Bytes of a row key, and of its first part, which leaves out the details: the same detection.
KEY_BYTES, SUBJECT_BYTES = 24, 16

#: The first part of a record, which identifies a row: its (user, time) key and its row key.
IDENTITY = struct.Struct(f">Q{KEY_BYTES}s")
#: The last part: the row's original time (µs since 1970) and the time's precision.
ORIGINAL = struct.Struct(">qB")
_DAY_AND_BATCH = struct.Struct(">i8s")
RECORD = struct.Struct(f">Q{KEY_BYTES}si8sqB")
#: Where a record has its (user, time) key and its row key.
USER_TIME_AT, KEY_AT = 0, 8
_CRC = struct.Struct(">I")
_HEADER = struct.Struct(">8sHHHI")
_MAGIC = b"irmkeys\n"
_VERSION = 1
#: Bytes that a file has besides its records.
_OVERHEAD = _HEADER.size + NONCE_BYTES + _CRC.size


def parts(data: bytes, size: int) -> list[bytes]:
    """What several rows have of ``size`` bytes each, end to end, row by row."""
    return [data[at : at + size] for at in range(0, len(data), size)]


class RowKey(NamedTuple):
    """An accepted row.

    ``user_time`` is the 64-bit key of its user and its time on the wire, ``day`` its event date (days since
    1970, UTC), and ``batch`` the first 8 bytes of the id of the batch that accepted it. ``time`` is its
    original time (µs since 1970) with the ``precision`` of ``shaping.times``. Both are 0 in rows of the
    collector, and in those that were accepted before irmexport kept them.
    """

    user_time: int
    key: bytes
    day: int
    batch: bytes
    time: int = 0
    precision: int = 0


class Damaged(Exception):
    """A file of row keys, or of the row ledger, is not what was written, and is not used."""


def seal(keyring: Keyring, records: bytes) -> bytes:
    """The contents of a ``rowkeys`` file with these records."""
    header = _HEADER.pack(_MAGIC, _VERSION, keyring.newest, RECORD.size, len(records) // RECORD.size)
    return header + keyring.encrypted(records + _CRC.pack(zlib.crc32(records, zlib.crc32(header))))


def unseal(keyring: Keyring, data: bytes) -> bytes:
    """The records in a ``rowkeys`` file. Raises Damaged."""
    records, end = _unseal(keyring, data, 0)
    if end != len(data):
        raise Damaged
    return records


def unseal_all(keyring: Keyring, data: bytes) -> bytes:
    """The records of several such files, end to end. Raises Damaged."""
    found, at = [], 0
    while at < len(data):
        records, at = _unseal(keyring, data, at)
        found.append(records)
    return b"".join(found)


def files_in(data: bytes) -> Iterator[bytes]:
    """Several such files, one by one, which takes no key. Raises Damaged."""
    at = 0
    while at < len(data):
        try:
            rows = _HEADER.unpack_from(data, at)[-1]
        except struct.error:
            raise Damaged from None
        yield data[at : (at := at + _OVERHEAD + rows * RECORD.size)]


def generation_of(data: bytes) -> int:
    """The generation of the key that a ``rowkeys`` file needs; 0 if it has no header of this version."""
    if len(data) < _HEADER.size:
        return 0
    magic, version, generation, _, _ = _HEADER.unpack_from(data)
    return int(generation) if (magic, version) == (_MAGIC, _VERSION) else 0


def _unseal(keyring: Keyring, data: bytes, start: int) -> tuple[bytes, int]:
    """The records of the file that begins at ``start``, and where it ends. Raises Damaged."""
    try:
        magic, version, generation, size, rows = _HEADER.unpack_from(data, start)
        end = start + _OVERHEAD + rows * RECORD.size
        if (magic, version, size) != (_MAGIC, _VERSION, RECORD.size) or end > len(data):
            raise Damaged
        text = keyring.decrypted(data[start + _HEADER.size : end], generation)
    except (struct.error, KeyError):
        raise Damaged from None
    records = text[: -_CRC.size]
    header = data[start : start + _HEADER.size]
    if text[-_CRC.size :] != _CRC.pack(zlib.crc32(records, zlib.crc32(header))):
        raise Damaged
    return records, end


def pack(rows: Iterable[RowKey]) -> bytes:
    """The records of these rows."""
    return b"".join([RECORD.pack(*row) for row in rows])


def pack_columns(
    identities: Iterable[bytes], days: Sequence[int], batch: bytes, originals: Iterable[bytes]
) -> bytes:
    """The same for rows of one batch, from what ``IDENTITY`` and ``ORIGINAL`` pack and each event date."""
    middle_of = {day: _DAY_AND_BATCH.pack(day, batch) for day in set(days)}
    return b"".join(chain.from_iterable(zip(identities, map(middle_of.__getitem__, days), originals)))


def unpack(records: bytes) -> Iterator[RowKey]:
    """The rows of these records."""
    return map(RowKey._make, RECORD.iter_unpack(records))


def divided(records: bytes, rows: Sequence[int]) -> list[bytes]:
    """The records in parts, the n-th with the next ``rows[n]`` of them."""
    ends = list(accumulate(count * RECORD.size for count in rows))
    return [records[start:end] for start, end in zip([0, *ends], ends)]
