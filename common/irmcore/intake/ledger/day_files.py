"""The files of the row ledger: one for each event date, and the checksums of them all.

``days/<yyyy>/<yyyy-mm-dd>.rows`` holds one ``rowkeys`` file after the other. How much of it counts is in
``days/tally`` (see ``day_checksums``). Only the name of that file is synced: what a power loss takes from a
day's file no longer matches its checksum, and the ledger is rebuilt from the batches.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from irmcore.disk import Disk
from irmcore.intake.ledger import day_checksums
from irmcore.intake.ledger.day_checksums import DayChecksum
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.on_store.layout import date_text
from irmcore.outbox.rowkeys import IDENTITY, RECORD, Damaged, seal, unseal_all

_WHOLE = struct.Struct(f"{RECORD.size}s")
_DAY = struct.Struct(f">{IDENTITY.size}xi{RECORD.size - IDENTITY.size - 4}x")


class DayFiles:
    """The files under ``path``. Days are counted from 1970. Methods raise OSError."""

    def __init__(self, disk: Disk, path: str, keyring: Keyring) -> None:
        self._disk = disk
        self._keyring = keyring
        self._path = path
        self._checksums: dict[int, DayChecksum] | None = None

    def complete(self) -> bool:
        """Whether the files are all there. A rebuild that was interrupted leaves no checksums."""
        return self._disk.exists(f"{self._path}/tally")

    def create(self) -> None:
        """Create the directory, with empty checksums."""
        self._disk.make_dir(self._path)
        self._replace_checksums({})

    def reread(self) -> None:
        """Forget the checksums in memory: another process may have replaced them."""
        self._checksums = None

    def checksum(self, day: int) -> DayChecksum:
        """Raises Damaged."""
        return self.checksums().get(day, day_checksums.EMPTY)

    def checksums(self) -> dict[int, DayChecksum]:
        """The checksums of all days, read once. Raises Damaged."""
        if self._checksums is None:
            try:
                self._checksums = day_checksums.decode(self._disk.read(f"{self._path}/tally"))
            except (ValueError, FileNotFoundError):
                raise Damaged from None
        return self._checksums

    def read(self, day: int) -> bytes:
        """The records of a day. Raises Damaged."""
        wanted = self.checksum(day)
        path = self._file(day)
        for name in (path, f"{path}.new"):
            data = self._disk.read(name) if wanted.size and self._disk.exists(name) else b""
            counted = data[: wanted.size]
            if len(counted) == wanted.size and zlib.crc32(counted) == wanted.crc:
                return unseal_all(self._keyring, counted)
        raise Damaged

    def append(self, groups: Mapping[int, bytes]) -> None:
        """Add records to days. Raises Damaged."""
        checksums = dict(self.checksums())
        for day, records in groups.items():
            before, data = self.checksum(day), seal(self._keyring, records)
            self._append(day, before, data)
            rows = before.rows + len(records) // RECORD.size
            checksums[day] = DayChecksum(rows, before.size + len(data), zlib.crc32(data, before.crc))
        self._replace_checksums(checksums)

    def _append(self, day: int, before: DayChecksum, data: bytes) -> None:
        path = self._file(day)
        self._finish_replacing(day, before)
        if self._disk.exists(path):
            # Overwrites what an interrupted run may have left after the valid rows.
            self._disk.write_at(path, before.size, data)
        elif before.size:
            raise Damaged
        else:
            year = path.rsplit("/", 1)[0]
            if not self._disk.exists(year):
                self._disk.make_dir(year)
            self._disk.create(path, data)

    def replace(self, day: int, records: bytes) -> None:
        """Replace the records of a day: a new file beside the old one, then its checksum, then its name.

        Raises Damaged.
        """
        path = self._file(day)
        self._finish_replacing(day, self.checksum(day))
        data = seal(self._keyring, records)
        self._disk.create(f"{path}.new", data)
        checksum = DayChecksum(len(records) // RECORD.size, len(data), zlib.crc32(data))
        self._replace_checksums({**self.checksums(), day: checksum})
        self._finish_replacing(day, checksum)

    def _finish_replacing(self, day: int, checksum: DayChecksum) -> None:
        """Put the new file of a day in place if the checksum is of that file; otherwise remove it."""
        path = self._file(day)
        if not self._disk.exists(f"{path}.new"):
            return
        data = self._disk.read(f"{path}.new")
        if len(data) == checksum.size and zlib.crc32(data) == checksum.crc:
            self._disk.rename(f"{path}.new", path)
        else:
            self._disk.remove(f"{path}.new")

    def _replace_checksums(self, checksums: Mapping[int, DayChecksum]) -> None:
        """Put new checksums in place of the old ones.

        Afterwards a power loss may damage the file, which is detected, but cannot bring the old one back.
        """
        new = f"{self._path}/tally.new"
        if self._disk.exists(new):
            self._disk.remove(new)
        self._disk.create(new, day_checksums.encode(checksums))
        self._disk.rename(new, f"{self._path}/tally")
        self._disk.sync_dir(self._path)
        self._checksums = dict(checksums)

    def _file(self, day: int) -> str:
        date = date_text(day)
        return f"{self._path}/{date[:4]}/{date}.rows"


def group_by_day(records: bytes) -> dict[int, bytes]:
    """Records by their event date, in their order."""
    days = [day for (day,) in _DAY.iter_unpack(records)]
    groups: dict[int, list[bytes]] = {day: [] for day in set(days)}
    if len(groups) == 1:
        return {days[0]: records}
    add = {day: group.append for day, group in groups.items()}
    for day, record in zip(days, split_records(records)):
        add[day](record)
    return {day: b"".join(group) for day, group in groups.items()}


def split_records(records: bytes) -> list[bytes]:
    """The records one by one."""
    return [record for (record,) in _WHOLE.iter_unpack(records)]
