"""How many rows each event date of the row ledger has, and their checksum: beside the files that hold them.

A file alone cannot tell that rows at its end are gone, or that it is gone itself; with this both are
noticed. The tally is replaced as a whole, after the rows that it counts are durable.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

_HEAD = b"irmexport tally 1\n"
#: Day, rows, CRC-32 of their bytes; then the CRC-32 of all that.
_ENTRY = struct.Struct(">iQI")
_CRC = struct.Struct(">I")


class Count(NamedTuple):
    """The rows of a day's file and the CRC-32 of their bytes; what stands behind them does not count."""

    rows: int
    crc: int


NONE = Count(0, 0)


def encode(counts: Mapping[int, Count]) -> bytes:
    """The bytes of the tally; ``counts`` by day since 1970."""
    body = _HEAD + b"".join(_ENTRY.pack(day, *count) for day, count in sorted(counts.items()))
    return body + _CRC.pack(zlib.crc32(body))


def decode(data: bytes) -> dict[int, Count]:
    """What ``encode`` wrote. Raises ValueError for anything else."""
    body = data[: -_CRC.size]
    if not body.startswith(_HEAD) or data[-_CRC.size :] != _CRC.pack(zlib.crc32(body)):
        raise ValueError("not a tally")
    try:
        return {day: Count(rows, crc) for day, rows, crc in _ENTRY.iter_unpack(body[len(_HEAD) :])}
    except struct.error as error:
        raise ValueError("not a tally") from error
