"""A file of fixed size that always holds one small record, through torn writes and a full disk.

Eight slots of 512 bytes, one sector each, reserved when the file is made. A record is written in place
into the slot after the newest one and synced; the newest slot whose CRC is right counts. A slot
is JSON text, so that a person can read the file.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from irmcore.disk import Disk
from irmcore.errors import UnknownFormat

SLOT_BYTES = 512
SLOT_COUNT = 8
VERSION = 1
_BLANK = b"\0" * SLOT_BYTES
_json = json.JSONEncoder(separators=(",", ":")).encode
_CRC_BYTES = 9  # eight hexadecimal digits and a newline


class SlotFile(NamedTuple):
    """What a slot file holds: the newest valid record, its number, and whether any slot is damaged."""

    record: dict[str, Any] | None
    number: int
    damaged: bool


def encode(record: Mapping[str, Any], number: int) -> bytes:
    """The slot of ``record``. Raises ValueError if it does not fit."""
    body = _json({"v": VERSION, "n": number, **record})
    text = body.encode("ascii").ljust(SLOT_BYTES - _CRC_BYTES)
    if len(text) > SLOT_BYTES - _CRC_BYTES:
        raise ValueError("a state record is larger than its slot")
    return text + b"%08x\n" % zlib.crc32(text)


def blank_file(first: Mapping[str, Any]) -> bytes:
    """A new slot file with ``first`` in its first slot."""
    return encode(first, 0) + _BLANK * (SLOT_COUNT - 1)


def empty_file() -> bytes:
    """A new slot file without a record: space that is reserved."""
    return _BLANK * SLOT_COUNT


def decode(data: bytes, where: str) -> SlotFile:
    """The newest valid record of a slot file. Raises UnknownFormat for a later version's record."""
    newest: dict[str, Any] | None = None
    damaged = len(data) != SLOT_BYTES * SLOT_COUNT
    for start in range(0, SLOT_BYTES * SLOT_COUNT, SLOT_BYTES):
        slot = data[start : start + SLOT_BYTES]
        if slot == _BLANK:
            continue
        record = _valid(slot)
        if record is None or record["n"] % SLOT_COUNT != start // SLOT_BYTES:
            damaged = True
            continue
        if record["v"] != VERSION:
            raise UnknownFormat(
                f"this was written in format {record['v']}; this version knows {VERSION}",
                where=where,
                next_step="Use the irmexport version that wrote it, or a later one.",
            )
        if newest is None or record["n"] > newest["n"]:
            newest = record
    number = newest["n"] if newest else -1
    return SlotFile(newest, number, damaged)


def _valid(slot: bytes) -> dict[str, Any] | None:
    text, crc = slot[:-_CRC_BYTES], slot[-_CRC_BYTES:]
    if crc != b"%08x\n" % zlib.crc32(text):
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    known = isinstance(record, dict) and isinstance(record.get("n"), int) and "v" in record
    return record if known else None


def write(disk: Disk, path: str, record: Mapping[str, Any], number: int) -> None:
    """Put ``record`` into its slot and wait until it is on the medium."""
    disk.write_at(path, number % SLOT_COUNT * SLOT_BYTES, encode(record, number), sync=True)


def mend(disk: Disk, path: str, number: int) -> None:
    """Blank all slots but that of record ``number``, which stands: damage in the others is gone."""
    for slot in range(SLOT_COUNT):
        if slot != number % SLOT_COUNT:
            disk.write_at(path, slot * SLOT_BYTES, _BLANK)
    disk.sync(path)
