"""How many rows each event date of the row ledger has, and the checksum of their bytes.

A day's file alone does not show that rows at its end, or the whole file, are missing. This file does. It is
replaced as a whole, after the rows that it counts have been written. On disk its name is ``tally``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

_HEAD = b"irmexport tally 2\n"
#: Day, rows, bytes and CRC-32 of these bytes. The CRC-32 of the whole follows the last entry.
_ENTRY = struct.Struct(">iQQI")
_CRC = struct.Struct(">I")


class DayChecksum(NamedTuple):
    """The rows in a day's file, their bytes, and the CRC-32 of these. Bytes after them do not count."""

    rows: int
    size: int
    crc: int


EMPTY = DayChecksum(0, 0, 0)


def encode(checksums: Mapping[int, DayChecksum]) -> bytes:
    """The contents of the file; ``checksums`` by day since 1970."""
    body = _HEAD + b"".join(_ENTRY.pack(day, *found) for day, found in sorted(checksums.items()))
    return body + _CRC.pack(zlib.crc32(body))


def decode(data: bytes) -> dict[int, DayChecksum]:
    """What ``encode`` wrote. Raises ValueError for anything else."""
    body = data[: -_CRC.size]
    if not body.startswith(_HEAD) or data[-_CRC.size :] != _CRC.pack(zlib.crc32(body)):
        raise ValueError("not a file of day checksums")
    try:
        return {day: DayChecksum(*found) for day, *found in _ENTRY.iter_unpack(body[len(_HEAD) :])}
    except struct.error as error:
        raise ValueError("not a file of day checksums") from error
