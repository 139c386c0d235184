"""A file of fixed size that always holds one small record, through torn writes and a full disk.

The file has room for eight records of 512 bytes, one disk sector each, reserved when it is created. A new
record is written in place after the newest one and synced. The newest record whose CRC is right counts.
Records are JSON text, so that a person can read the file.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from irmcore.disk import Disk
from irmcore.errors import UnknownFormat

RECORD_BYTES = 512
RECORD_COUNT = 8
VERSION = 1
_BLANK = b"\0" * RECORD_BYTES
_json = json.JSONEncoder(separators=(",", ":")).encode
_CRC_BYTES = 9  # eight hexadecimal digits and a newline


class StateFile(NamedTuple):
    """The newest valid record of a file, its number, and whether any record is damaged."""

    record: dict[str, Any] | None
    number: int
    damaged: bool


def encode(record: Mapping[str, Any], number: int) -> bytes:
    """``record`` as 512 bytes. Raises ValueError if it does not fit."""
    body = _json({"v": VERSION, "n": number, **record})
    text = body.encode("ascii").ljust(RECORD_BYTES - _CRC_BYTES)
    if len(text) > RECORD_BYTES - _CRC_BYTES:
        raise ValueError("a state record is larger than 503 bytes")
    return text + b"%08x\n" % zlib.crc32(text)


def new_file(first: Mapping[str, Any]) -> bytes:
    """The content of a new file whose first record is ``first``."""
    return encode(first, 0) + _BLANK * (RECORD_COUNT - 1)


def reserved_file() -> bytes:
    """The content of a new file without a record: reserved space."""
    return _BLANK * RECORD_COUNT


def decode(data: bytes, where: str) -> StateFile:
    """The newest valid record in ``data``. Raises UnknownFormat for a record of a later version."""
    newest: dict[str, Any] | None = None
    damaged = len(data) != RECORD_BYTES * RECORD_COUNT
    for start in range(0, RECORD_BYTES * RECORD_COUNT, RECORD_BYTES):
        sector = data[start : start + RECORD_BYTES]
        if sector == _BLANK:
            continue
        record = _valid(sector)
        if record is None or record["n"] % RECORD_COUNT != start // RECORD_BYTES:
            damaged = True
            continue
        if record["v"] != VERSION:
            raise UnknownFormat(
                f"this file has format {record['v']}; this version of irmexport knows {VERSION}",
                where=where,
                next_step="Use the irmexport version that wrote it, or a later one.",
            )
        if newest is None or record["n"] > newest["n"]:
            newest = record
    number = newest["n"] if newest else -1
    return StateFile(newest, number, damaged)


def _valid(sector: bytes) -> dict[str, Any] | None:
    text, crc = sector[:-_CRC_BYTES], sector[-_CRC_BYTES:]
    if crc != b"%08x\n" % zlib.crc32(text):
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    known = isinstance(record, dict) and isinstance(record.get("n"), int) and "v" in record
    return record if known else None


def write(disk: Disk, path: str, record: Mapping[str, Any], number: int) -> None:
    """Write ``record`` in its place and wait until it is on the medium. Raises OSError."""
    disk.write_at(path, number % RECORD_COUNT * RECORD_BYTES, encode(record, number), sync=True)


def write_unsynced(disk: Disk, path: str, record: Mapping[str, Any], number: int) -> None:
    """Write ``record`` in its place. Raises OSError."""
    disk.write_at(path, number % RECORD_COUNT * RECORD_BYTES, encode(record, number))


def repair(disk: Disk, path: str, number: int) -> None:
    """Blank every record but the one of this number, which is durable already. Raises OSError."""
    for position in range(RECORD_COUNT):
        if position != number % RECORD_COUNT:
            disk.write_at(path, position * RECORD_BYTES, _BLANK)
    disk.sync(path)
