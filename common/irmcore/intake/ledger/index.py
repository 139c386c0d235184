"""The row ledger: which rows were accepted, so that the next run sends only what is new.

The truth is the ``rowkeys`` file in each batch, which becomes durable with the batch. The ledger is an
index over those files, one file an event date, so that a run costs what its dates cost. A run
announces its batches in ``pending/`` before they are accepted; whoever finds an announcement merges
those batches again (merging twice changes nothing). What of a date's file counts is in the ``tally``:
a file that is damaged, shorter or gone is noticed, and the index is made anew from the batches. So only
that the tally has changed is synced; what a power loss takes of the rest costs time, and no row.
"""

from __future__ import annotations

import datetime
import json
import re
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Callable, TypeVar

from irmcore.disk import Disk
from irmcore.intake.ledger import day_checksums as tally
from irmcore.intake.ledger.day_checksums import Count
from irmcore.intake.ledger.hash_index import Records
from irmcore.outbox.rowkeys import (
    IDENTITY,
    KEY_AT,
    KEY_BYTES,
    RECORD,
    SUBJECT_BYTES,
    USER_TIME_AT,
    Damaged,
)
from irmcore.shaping.keys import numbers

_WHOLE = struct.Struct(f"{RECORD.size}s")
_DAY = struct.Struct(f">{IDENTITY.size}xi8x")

_Found = TypeVar("_Found")

_RUN = re.compile(r"[0-9A-Za-z-]+")

DAY_MICROSECONDS = 86_400_000_000

#: Keys of event dates that are kept in memory; the dates used longest ago go first.
MEMORY = 1_000_000
#: Rows that are merged at a time: a bound on memory.
MERGE_ROWS = 60_000


def _grouped(records: bytes) -> dict[int, bytes]:
    """Records by their event date, in their order."""
    days = [day for (day,) in _DAY.iter_unpack(records)]
    groups: dict[int, list[bytes]] = {day: [] for day in set(days)}
    if len(groups) == 1:
        return {days[0]: records}
    add = {day: group.append for day, group in groups.items()}
    for day, record in zip(days, _divided(records)):
        add[day](record)
    return {day: b"".join(group) for day, group in groups.items()}


def _divided(records: bytes) -> list[bytes]:
    return [record for (record,) in _WHOLE.iter_unpack(records)]


class Day:
    """What is known of one event date."""

    def __init__(self, records: bytes = b"") -> None:
        self._records = records
        self._by_slot = Records(RECORD.size, USER_TIME_AT, records)
        self._by_subject = Records(RECORD.size, KEY_AT, records)

    def __len__(self) -> int:
        return len(self._by_slot)

    def known(self, keys: Sequence[bytes], slots: Sequence[int]) -> set[int]:
        """The positions of rows whose subject may be in, or whose slot is."""
        subjects = numbers(b"".join(keys))[:: KEY_BYTES // 8].tolist()
        return {*self._by_subject.known(subjects), *self._by_slot.known(slots)}

    def all_keys(self) -> Iterator[bytes]:
        """All keys, in the order in which they came."""
        return (key for _, key, _, _ in RECORD.iter_unpack(self._records))

    def has(self, key: bytes) -> bool:
        return self._has(key)

    def has_subject(self, key: bytes) -> bool:
        """Whether a row of the same detection is in, with whatever threshold."""
        return self._has(key[:SUBJECT_BYTES])

    def has_slot(self, slot: int) -> bool:
        return any(self._by_slot.find(slot))

    def _has(self, beginning: bytes) -> bool:
        number = int.from_bytes(beginning[:8], "big")
        return any(record.startswith(beginning, KEY_AT) for record in self._by_subject.find(number))


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
        self._counts: dict[int, Count] | None = None

    # -- reading ------------------------------------------------------------------------

    def day(self, number: int) -> Day:
        """What was accepted of the event date ``number`` (days since 1970).

        Raises Damaged if the file is, and cannot be repaired.
        """
        day = self._days.get(number)
        if day is not None:
            self._days.move_to_end(number)
            return day
        day = Day(self._mended(partial(self._read, number)))
        self._days[number] = day
        while len(self._days) > 1 and sum(map(len, self._days.values())) > self._memory:
            self._days.popitem(last=False)
        return day

    def has(self, number: int) -> bool:
        """Whether rows of the event date were accepted. Raises as ``day`` does."""
        return self._mended(partial(self._count, number)).rows > 0

    def _mended(self, look: Callable[[], _Found]) -> _Found:
        """What ``look`` finds, once more after what is damaged was repaired. Raises Damaged."""
        try:
            return look()
        except Damaged:
            if self._repair is not None:
                self._repair()
            self._counts = None  # who does not hold the lock may have read while it was being written
            return look()

    def _read(self, number: int) -> bytes:
        """The records of an event date. Raises Damaged."""
        count = self._count(number)
        path = self._file(number)
        for name in (path, f"{path}.new"):
            data = self._disk.read(name) if count.rows and self._disk.exists(name) else b""
            records = data[: count.rows * RECORD.size]
            if len(records) == count.rows * RECORD.size and zlib.crc32(records) == count.crc:
                return records
        raise Damaged

    def _count(self, number: int) -> Count:
        return self._tally().get(number, tally.NONE)

    def _tally(self) -> dict[int, Count]:
        """The tally, read once. Raises Damaged."""
        if self._counts is None:
            try:
                self._counts = tally.decode(self._disk.read(f"{self._path}/days/tally"))
            except (ValueError, FileNotFoundError):
                raise Damaged from None
        return self._counts

    def _file(self, number: int) -> str:
        date = datetime.date(1970, 1, 1) + datetime.timedelta(days=number)
        return f"{self._path}/days/{date:%Y}/{date:%Y-%m-%d}.rows"

    def complete(self) -> bool:
        """Whether the index is there as a whole (a rebuild that was cut off leaves it incomplete)."""
        return self._disk.exists(f"{self._path}/days/tally")

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
        self._disk.create(path, json.dumps(batches).encode("ascii"), sync=True)
        self._disk.sync_dir(f"{self._path}/pending")

    def announcements(self) -> dict[str, list[str]]:
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

    def discard(self, run: str) -> None:
        """Drop an announcement, after its batches were merged. It may come back, which changes nothing."""
        path = f"{self._path}/pending/{run}"
        if self._disk.exists(path):  # a repair meanwhile has settled them all
            self._disk.remove(path)

    def merge(self, records: Iterable[bytes]) -> None:
        """Add the records of batches, durably, some batches at a time. Raises Damaged where the tally is."""
        for part in in_parts(records):
            counts = dict(self._tally())
            for number, group in _grouped(part).items():
                count = self._count(number)
                self._append(number, count, group)
                rows = count.rows + len(group) // RECORD.size
                counts[number] = Count(rows, zlib.crc32(group, count.crc))
            self._keep(counts)

    def _append(self, number: int, count: Count, group: bytes) -> None:
        path = self._file(number)
        self._finish_replacing(number, count)
        if self._disk.exists(path):
            # What a run that died has left behind the rows that count is written over.
            self._disk.write_at(path, count.rows * RECORD.size, group)
        elif count.rows:
            raise Damaged
        else:
            year = path.rsplit("/", 1)[0]
            if not self._disk.exists(year):
                self._disk.make_dir(year)
            self._disk.create(path, group)
        self._days.pop(number, None)

    def merge_missing(self, records: bytes) -> None:
        """Merge records of which some may stand already. Raises Damaged."""
        missing = []
        for number, group in _grouped(records).items():
            there = set(_divided(self._read(number)))
            missing += [record for record in _divided(group) if record not in there]
        self.merge([b"".join(missing)])

    def remove(self, records: bytes) -> None:
        """Take the rows of a withdrawn batch out again. Raises Damaged, as ``day`` does."""
        for number, group in _grouped(records).items():
            gone = set(_divided(group))
            there = _divided(self._mended(partial(self._read, number)))
            kept = [record for record in there if record not in gone]
            if len(kept) < len(there):
                self._replace(number, b"".join(kept))

    def _replace(self, number: int, records: bytes) -> None:
        """Write an event date anew: beside it, then into the tally, then in its place."""
        path = self._file(number)
        self._finish_replacing(number, self._count(number))
        self._disk.create(f"{path}.new", records)
        count = Count(len(records) // RECORD.size, zlib.crc32(records))
        self._keep({**self._tally(), number: count})
        self._finish_replacing(number, count)
        self._days.pop(number, None)

    def _finish_replacing(self, number: int, count: Count) -> None:
        """Put a date's new file in place if it is the one that the tally tells of, else remove it."""
        path = self._file(number)
        if not self._disk.exists(f"{path}.new"):
            return
        data = self._disk.read(f"{path}.new")
        if len(data) == count.rows * RECORD.size and zlib.crc32(data) == count.crc:
            self._disk.rename(f"{path}.new", path)
        else:
            self._disk.remove(f"{path}.new")

    def _keep(self, counts: Mapping[int, Count]) -> None:
        """Put a tally in place of the one before. Whatever a power loss leaves, it is not that one."""
        days = f"{self._path}/days"
        if self._disk.exists(f"{days}/tally.new"):
            self._disk.remove(f"{days}/tally.new")
        self._disk.create(f"{days}/tally.new", tally.encode(counts))
        self._disk.rename(f"{days}/tally.new", f"{days}/tally")
        self._disk.sync_dir(days)
        self._counts = dict(counts)

    def rebuild(self, batches: Callable[[], Iterable[bytes]]) -> int:
        """Make the index anew from the records of all batches; gives how many rows it has."""
        for name in ("old", "new"):
            self._disk.remove_tree(f"{self._path}/{name}")
        if self._disk.exists(f"{self._path}/days"):
            # Out of the way as a whole: half an index would pass for a whole one.
            self._disk.rename(f"{self._path}/days", f"{self._path}/old")
            self._disk.remove_tree(f"{self._path}/old")
        self._days.clear()
        final, self._path = self._path, f"{self._path}/new"
        try:
            self._disk.make_dir(self._path)
            self._disk.make_dir(f"{self._path}/days")
            self._keep({})
            self.merge(batches())
            count = sum(count.rows for count in self._tally().values())
        finally:
            self._path = final
            self._counts = None
        self._days.clear()
        self._disk.rename(f"{self._path}/new/days", f"{self._path}/days")
        self._disk.remove_tree(f"{self._path}/new")
        return count


def in_parts(records: Iterable[bytes]) -> Iterator[bytes]:
    """The records of batches, some batches at a time."""
    part: list[bytes] = []
    size = 0
    for more in records:
        part.append(more)
        size += len(more)
        if size >= MERGE_ROWS * RECORD.size:
            yield b"".join(part)
            part, size = [], 0
    if size:
        yield b"".join(part)
