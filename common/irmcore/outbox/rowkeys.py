"""The ``rowkeys`` file of a batch: which rows the batch holds.

The file is a run of records of 44 bytes, then their CRC-32 (big-endian); a batch without records has an
empty file. The file becomes durable with its batch, so it is the truth about accepted rows. The row ledger
is an index over these files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

#: Bytes of a row key, and of its first part, which leaves out the details: the same detection.
KEY_BYTES, SUBJECT_BYTES = 24, 16

#: The first half of a record, which identifies a row: its (user, time) key and its row key.
IDENTITY = struct.Struct(f">Q{KEY_BYTES}s")
_DAY_AND_BATCH = struct.Struct(">i8s")
RECORD = struct.Struct(f">Q{KEY_BYTES}si8s")
#: Where a record has its (user, time) key and its row key.
USER_TIME_AT, KEY_AT = 0, 8
_CRC = struct.Struct(">I")


class RowKey(NamedTuple):
    """An accepted row.

    ``user_time`` is the 64-bit key of its user and its time on the wire, ``day`` its event date (days since
    1970, UTC), and ``batch`` the first 8 bytes of the id of the batch that accepted it.
    """

    user_time: int
    key: bytes
    day: int
    batch: bytes


class Damaged(Exception):
    """A file of row keys, or of the row ledger, is not what was written, and is not used."""


def seal(records: bytes) -> bytes:
    """The contents of a ``rowkeys`` file with these records."""
    return records + _CRC.pack(zlib.crc32(records)) if records else b""


def unseal(data: bytes) -> bytes:
    """The records in a ``rowkeys`` file. Raises Damaged."""
    if not data:
        return b""
    records = data[: -_CRC.size]
    if not records or len(records) % RECORD.size or data[-_CRC.size :] != _CRC.pack(zlib.crc32(records)):
        raise Damaged
    return records


def pack(rows: Iterable[RowKey]) -> bytes:
    """The contents of a ``rowkeys`` file with these rows."""
    return seal(b"".join([RECORD.pack(*row) for row in rows]))


def pack_columns(identities: Iterable[bytes], days: Sequence[int], batch: bytes) -> bytes:
    """The same for rows of one batch, from what ``IDENTITY`` packs and the event date of each."""
    end_of = {day: _DAY_AND_BATCH.pack(day, batch) for day in set(days)}
    return seal(b"".join(chain.from_iterable(zip(identities, map(end_of.__getitem__, days)))))


def unpack(data: bytes) -> Iterator[RowKey]:
    """The rows in a ``rowkeys`` file. Raises Damaged."""
    return map(RowKey._make, RECORD.iter_unpack(unseal(data)))


def split_rowkeys(data: bytes, rows: Sequence[int]) -> list[bytes]:
    """A ``rowkeys`` file as several files, the n-th with the next ``rows[n]`` records.

    A damaged file cannot be divided: each part then gets all of it, and stays recognizable as damaged.
    """
    try:
        records = unseal(data)
    except Damaged:
        return [data for _ in rows]
    ends = list(accumulate(count * RECORD.size for count in rows))
    return [seal(records[start:end]) for start, end in zip([0, *ends], ends)]
