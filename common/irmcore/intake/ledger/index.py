"""The row ledger: which rows were accepted, so that the next run sends only new ones.

The truth is the ``rowkeys`` file in each batch, which becomes durable with the batch. The ledger is an index
over these files, by event date, so that a run costs only what its own dates cost. A file that is damaged,
shorter than it was or missing is detected, and the index is rebuilt from the batches. So a power loss may
cost the ledger time, but never a row. Merging the same rows twice changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Callable, TypeVar

from irmcore.disk import Disk
from irmcore.intake.ledger.announcements import Announcements
from irmcore.intake.ledger.day import Day
from irmcore.intake.ledger.day_files import DayFiles, group_by_day, split_records
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.rowkeys import RECORD, Damaged

_Found = TypeVar("_Found")

#: Rows whose event dates are kept in memory. The least recently used dates go first.
CACHED_ROWS = 1_000_000
#: Rows that are merged at a time, which bounds the memory for it.
MERGE_ROWS = 60_000


class Ledger:
    """The ledger of one connector, under ``path``. Writers hold the connector's intake lock.

    All methods raise OSError; those that read rows raise Damaged if a file is damaged and not repaired.
    """

    def __init__(
        self,
        disk: Disk,
        path: str,
        keyring: Keyring,
        *,
        repair: Callable[[], object] | None = None,
        cached_rows: int = CACHED_ROWS,
    ) -> None:
        """``repair`` rebuilds the files from the batches; without it a damaged file raises Damaged.

        ``cached_rows`` bounds the dates in memory, but one date always stays there.
        """
        self._disk = disk
        self._path = path
        self._keyring = keyring
        self._repair = repair
        self._cached_rows = cached_rows
        self._days: OrderedDict[int, Day] = OrderedDict()
        self._files = DayFiles(disk, f"{path}/days", keyring)
        self.announcements = Announcements(disk, f"{path}/pending")
        #: The records of an event date that are accepted in an outbox on a store.
        self.elsewhere: Callable[[int], bytes] | None = None

    # -- reading ------------------------------------------------------------------------

    def day(self, number: int) -> Day:
        """What was accepted of the event date ``number`` (days since 1970)."""
        day = self._days.get(number)
        if day is not None:
            self._days.move_to_end(number)
            return day
        elsewhere = self.elsewhere(number) if self.elsewhere is not None else b""
        day = Day(self._repaired(partial(self._files.read, number)) + elsewhere)
        self._days[number] = day
        while len(self._days) > 1 and sum(map(len, self._days.values())) > self._cached_rows:
            self._days.popitem(last=False)
        return day

    def has(self, number: int) -> bool:
        """Whether rows of the event date were accepted."""
        if self.elsewhere is not None:
            return len(self.day(number)) > 0
        return self._repaired(partial(self._files.checksum, number)).rows > 0

    def _repaired(self, read: Callable[[], _Found]) -> _Found:
        """What ``read`` gives, after a repair if the first attempt finds damage."""
        try:
            return read()
        except Damaged:
            if self._repair is not None:
                self._repair()
            # A reader without the lock may also have read while another process wrote.
            self._files.reread()
            return read()

    def complete(self) -> bool:
        """Whether there is a whole index. A rebuild that was interrupted leaves none."""
        return self._files.complete()

    def records(self) -> Iterator[bytes]:
        """Every record, from every file. Raises Damaged."""
        for number in self._files.checksums():
            yield from split_records(self._files.read(number))

    # -- writing ------------------------------------------------------------------------

    def create(self) -> None:
        """Make the directories that are missing. ``rebuild`` makes the index, also the first one."""
        for path in (self._path, self.announcements.path):
            if not self._disk.exists(path):
                self._disk.make_dir(path)
        self._disk.sync_dir(self._path)

    def merge(self, records: Iterable[bytes]) -> None:
        """Add the records of batches, durably. Raises Damaged if the checksums are damaged."""
        for part in in_parts(records):
            groups = group_by_day(part)
            for number in groups:
                self._days.pop(number, None)
            self._files.append(groups)

    def merge_missing(self, records: bytes) -> None:
        """Add those of the records that the index does not have yet."""
        missing = []
        for number, group in group_by_day(records).items():
            present = set(split_records(self._files.read(number)))
            missing += [record for record in split_records(group) if record not in present]
        self.merge([b"".join(missing)])

    def remove(self, records: bytes) -> None:
        """Remove the records of batches that were withdrawn or promoted."""
        for number, group in group_by_day(records).items():
            withdrawn = set(split_records(group))
            present = split_records(self._repaired(partial(self._files.read, number)))
            kept = [record for record in present if record not in withdrawn]
            if len(kept) < len(present):
                self._files.replace(number, b"".join(kept))
                self._days.pop(number, None)

    def rebuild(self, batches: Callable[[], Iterable[bytes]]) -> int:
        """Rebuild the index from the records of all batches; returns the number of its rows."""
        for name in ("old", "new"):
            self._disk.remove_tree(f"{self._path}/{name}")
        if self._disk.exists(f"{self._path}/days"):
            # Moved away in one step: half an index would look like a whole one.
            self._disk.rename(f"{self._path}/days", f"{self._path}/old")
            self._disk.remove_tree(f"{self._path}/old")
        self._days.clear()
        self._files.reread()
        self._disk.make_dir(f"{self._path}/new")
        files = DayFiles(self._disk, f"{self._path}/new/days", self._keyring)
        files.create()
        for part in in_parts(batches()):
            files.append(group_by_day(part))
        self._disk.rename(f"{self._path}/new/days", f"{self._path}/days")
        self._disk.remove_tree(f"{self._path}/new")
        return sum(checksum.rows for checksum in files.checksums().values())


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
