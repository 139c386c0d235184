"""The row ledger: which rows were accepted, so that the next run sends only what is new.

The truth is the ``rowkeys`` file in each batch, which becomes durable with the batch. The ledger is an
index over those files, one file an event date, so that a run costs what its dates cost. A run
announces its batches in ``pending/`` before they are accepted; whoever finds an announcement merges
those batches again (merging twice changes nothing). A damaged file is rebuilt from the batches.
"""

from __future__ import annotations

import datetime
import json
import re
import struct
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Callable, NamedTuple

from irmcore.disk import Disk
from irmcore.packed import PackedNumbers, PackedSet

#: key, subject, slot, batch, day, CRC: 48 bytes, big-endian.
_BODY = struct.Struct(">16s8sQ8si")
_CRC = struct.Struct(">I")
RECORD_BYTES = _BODY.size + _CRC.size
_BLANK = b"\0" * RECORD_BYTES
#: Parts of a record: body and CRC; key, subject and slot; day.
_CHECKED = struct.Struct(">44sI")
_NAMES = struct.Struct(">16s8s8s16x")
_DAY = struct.Struct(">40xi4x")
#: Records that are looked at together.
_SLICE = 4_096 * RECORD_BYTES

_RUN = re.compile(r"[0-9A-Za-z-]+")

DAY_MICROSECONDS = 86_400_000_000

#: Keys of event dates that are kept in memory; the dates used longest ago go first.
MEMORY = 1_000_000


class RowKey(NamedTuple):
    """An accepted row: its ``key`` (16 bytes), ``subject`` and ``batch`` (8 bytes each), its slot, its day.

    ``day`` counts days since 1970 (UTC) of the event; ``slot`` names user and time on the wire.
    """

    key: bytes
    subject: bytes
    slot: int
    batch: bytes
    day: int


def pack(rows: Iterable[RowKey]) -> bytes:
    """The bytes of a ``rowkeys`` file."""
    crc, body = _CRC.pack, _BODY.pack
    packed = []
    for row in rows:
        data = body(*row)
        packed.append(data + crc(zlib.crc32(data)))
    return b"".join(packed)


def pack_columns(
    keys: Iterable[bytes], subjects: Iterable[bytes], slots: Iterable[int], batch: bytes, days: Iterable[int]
) -> bytes:
    """The same of rows of one batch that come column by column: all of it runs in C."""
    bodies = list(map(_BODY.pack, keys, subjects, slots, repeat(batch), days))
    return b"".join(chain.from_iterable(zip(bodies, map(_CRC.pack, map(zlib.crc32, bodies)))))


class Damaged(Exception):
    """A ledger file has a record that was not written so; it is rebuilt, never trusted."""


def unpack(data: bytes) -> Iterator[RowKey]:
    """The rows of ``pack``; unwritten space is passed over. Raises Damaged."""
    if len(data) % RECORD_BYTES:
        raise Damaged
    for start in range(0, len(data), RECORD_BYTES):
        body = data[start : start + _BODY.size]
        (crc,) = _CRC.unpack_from(data, start + _BODY.size)
        if crc != zlib.crc32(body):
            if data[start : start + RECORD_BYTES] == _BLANK:
                continue
            raise Damaged
        yield RowKey(*_BODY.unpack(body))


def checked(data: bytes) -> bytes:
    """The records of ``data`` without unwritten space. Raises Damaged, as unpack does."""
    if len(data) % RECORD_BYTES:
        raise Damaged
    for start in range(0, len(data), _SLICE):
        bodies, crcs = zip(*_CHECKED.iter_unpack(data[start : start + _SLICE]))
        if any(map(int.__ne__, map(zlib.crc32, bodies), crcs)):  # damaged, or not written
            return pack(unpack(data))
    return data


def _grouped(data: bytes) -> dict[int, bytes]:
    """Records by their event date, in their order."""
    days = [day for (day,) in _DAY.iter_unpack(data)]
    if len(set(days)) == 1:
        return {days[0]: data}
    groups: defaultdict[int, list[bytes]] = defaultdict(list)
    for start, day in zip(range(0, len(data), RECORD_BYTES), days):
        groups[day].append(data[start : start + RECORD_BYTES])
    return {day: b"".join(records) for day, records in groups.items()}


class Day:
    """What is known of one event date."""

    __slots__ = ("keys", "slots", "subjects")

    def __init__(self, data: bytes = b"") -> None:
        """``data`` are records. Raises Damaged."""
        rows = len(data) // RECORD_BYTES
        self.keys = PackedSet(16, rows)
        self.subjects = PackedSet(8, rows)
        self.slots = PackedNumbers(rows)
        data = checked(data)
        for start in range(0, len(data), _SLICE):
            keys, subjects, slots = zip(*_NAMES.iter_unpack(data[start : start + _SLICE]))
            self.keys.update(keys)
            self.subjects.update(subjects)
            self.slots.items.update(slots)


class Ledger:
    """The ledger of one connector, under ``path``. Writers hold the connector's intake lock."""

    def __init__(
        self,
        disk: Disk,
        path: str,
        *,
        repair: Callable[[], object] | None = None,
        memory: int = MEMORY,
    ) -> None:
        """``repair`` rebuilds the files from the batches; without it damage is an error.

        ``memory``: keys of event dates that are kept, but always one date.
        """
        self._disk = disk
        self._path = path
        self._repair = repair
        self._memory = memory
        self._days: OrderedDict[int, Day] = OrderedDict()

    # -- reading ------------------------------------------------------------------------

    def day(self, number: int) -> Day:
        """What was accepted of the event date ``number`` (days since 1970).

        Raises Damaged if the file is, and cannot be repaired.
        """
        day = self._days.get(number)
        if day is not None:
            self._days.move_to_end(number)
            return day
        try:
            day = self._load(number)
        except Damaged:
            if self._repair is None:
                raise
            self._repair()
            day = self._load(number)
        self._days[number] = day
        while len(self._days) > 1 and sum(len(d.keys) for d in self._days.values()) > self._memory:
            self._days.popitem(last=False)
        return day

    def has(self, number: int) -> bool:
        """Whether rows of the event date may have been accepted."""
        day = self._days.get(number)
        return bool(day.keys) if day is not None else self._disk.exists(self._file(number))

    def _load(self, number: int) -> Day:
        path = self._file(number)
        return Day(self._disk.read(path) if self._disk.exists(path) else b"")

    def _file(self, number: int) -> str:
        date = datetime.date(1970, 1, 1) + datetime.timedelta(days=number)
        return f"{self._path}/days/{date:%Y}/{date:%Y-%m-%d}.rows"

    def complete(self) -> bool:
        """Whether the index is there as a whole (a rebuild that was cut off leaves it incomplete)."""
        return self._disk.exists(f"{self._path}/days")

    # -- writing ------------------------------------------------------------------------

    def create(self) -> None:
        """Make what is missing of the directory, but not the index: ``rebuild`` does, also from nothing."""
        for path in (self._path, f"{self._path}/pending"):
            if not self._disk.exists(path):
                self._disk.make_dir(path)
        self._disk.sync_dir(self._path)

    def announce(self, run: str, batches: list[str]) -> None:
        """Record, durably, that ``batches`` are about to be accepted."""
        path = f"{self._path}/pending/{run}"
        self._disk.create(path, json.dumps(batches).encode("ascii"))
        self._disk.sync(path)
        self._disk.sync_dir(f"{self._path}/pending")

    def announced(self) -> dict[str, list[str]]:
        """The announcements of runs that did not end: run → batch ids.

        One that cannot be read was cut off while it was written, before any of its batches moved.
        """
        found: dict[str, list[str]] = {}
        for run in filter(_RUN.fullmatch, self._disk.names(f"{self._path}/pending")):
            try:
                found[run] = [str(b) for b in json.loads(self._disk.read(f"{self._path}/pending/{run}"))]
            except (ValueError, TypeError, RecursionError):
                found[run] = []
        return found

    def settle(self, run: str) -> None:
        """Drop an announcement, after its batches were merged. It may come back, which changes nothing."""
        self._disk.remove(f"{self._path}/pending/{run}")

    def merge(self, rows: Iterable[RowKey] | bytes) -> None:
        """Add rows, or their records as ``checked`` gives them, durably: one write and one sync a date."""
        data = rows if isinstance(rows, bytes) else pack(rows)
        for number, group in _grouped(data).items():
            path = self._file(number)
            end = self._disk.size(path) if self._disk.exists(path) else -1
            if end < 0:
                self._make_year(path)
                self._disk.create(path, group)
                self._disk.sync(path)
                self._sync_names(path)
            else:
                aligned = -(-end // RECORD_BYTES) * RECORD_BYTES
                self._disk.write_at(path, aligned, group)
                self._disk.sync(path)
            self._days.pop(number, None)

    def redo(self, rows: Iterable[RowKey]) -> None:
        """Merge rows of which some, or half of one, may stand already: the files are written anew."""
        for number, group in _by_day(rows).items():
            again = set(group)
            kept = [row for row in self._readable(number) if row not in again]
            self._replace(number, kept + group)

    def forget(self, rows: Iterable[RowKey]) -> None:
        """Take the rows of a withdrawn batch out again."""
        for number, group in _by_day(rows).items():
            gone = set(group)
            self._replace(number, [row for row in self._readable(number) if row not in gone])

    def _readable(self, number: int) -> list[RowKey]:
        path = self._file(number)
        if not self._disk.exists(path):
            return []
        data = self._disk.read(path)
        rows: list[RowKey] = []
        for start in range(0, len(data) // RECORD_BYTES * RECORD_BYTES, RECORD_BYTES):
            try:
                rows.extend(unpack(data[start : start + RECORD_BYTES]))
            except Damaged:
                continue  # the half-written record of the run that is being redone
        return rows

    def _replace(self, number: int, rows: list[RowKey]) -> None:
        path = self._file(number)
        self._make_year(path)
        temporary = f"{path}.new"
        if self._disk.exists(temporary):
            self._disk.remove(temporary)
        self._disk.create(temporary, pack(rows))
        self._disk.sync(temporary)
        self._disk.rename(temporary, path)
        self._sync_names(path)
        self._days.pop(number, None)

    def _make_year(self, path: str) -> None:
        year = path.rsplit("/", 1)[0]
        if not self._disk.exists(year):
            self._disk.make_dir(year)

    def _sync_names(self, path: str) -> None:
        """Make the name of a day's file durable, and of its year: a run that died may not have done so."""
        year = path.rsplit("/", 1)[0]
        self._disk.sync_dir(year)
        self._disk.sync_dir(year.rsplit("/", 1)[0])

    def rebuild(self, batches: Callable[[], Iterator[Iterable[RowKey]]]) -> int:
        """Make the index anew from the row keys of all batches; gives how many rows it has."""
        for name in ("old", "new"):
            self._disk.remove_tree(f"{self._path}/{name}")
        if self.complete():
            # Out of the way as a whole: half an index would pass for a whole one.
            self._disk.rename(f"{self._path}/days", f"{self._path}/old")
            self._disk.sync_dir(self._path)
            self._disk.remove_tree(f"{self._path}/old")
        self._days.clear()
        final, self._path = self._path, f"{self._path}/new"
        try:
            self._disk.make_dir(self._path)
            self._disk.make_dir(f"{self._path}/days")
            count = 0
            for rows in batches():
                group = list(rows)
                self.merge(group)
                count += len(group)
        finally:
            self._path = final
        self._days.clear()
        self._disk.rename(f"{self._path}/new/days", f"{self._path}/days")
        self._disk.sync_dir(self._path)
        self._disk.remove_tree(f"{self._path}/new")
        return count


def _by_day(rows: Iterable[RowKey]) -> dict[int, list[RowKey]]:
    days: dict[int, list[RowKey]] = {}
    for row in rows:
        days.setdefault(row.day, []).append(row)
    return days
