"""What the stand-in remembers: every upload, and the records it kept.

Promised: an upload is on record before its reply is sent; records of one job are in the order in
which they were kept. With a directory, each job's kept records are also appended to
`records-<job id>.jsonl` (mode 0600), all of them; in memory the oldest go when a cap is reached.
Not promised: durability. Nothing is synced, and nothing is read back at the start.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from irmemulator.event_times import iso_of
from irmemulator.file_rules import Pair, Record
from irmemulator.settings import Job, Options

_UPLOADS_CAP = 100_000


@dataclass(frozen=True)
class Upload:
    """One POST to /api/signals and what became of it.

    Attributes:
        time: When its head was read, UTC.
        request_id: The id that the reply's `request-id` header has.
        job_id: The job it named, in lower case; None when it named none that exists.
        sha256: Of the file's bytes, in hex; None when the body had no readable file.
        bytes: Of the file; of the body, as far as it was read, when there is no readable file.
        records_received: Records of the file; 0 when they could not be counted.
        records_saved: Records kept: what the real connector's status log calls RecordsSaved.
        dropped: Records not saved, by reason (see `irmemulator.file_rules`).
        status: The status replied; None when the connection ended without a reply.
        code: Why the checks refused it, as in the reply's body; None when they did not. A fault
            does not change it.
        fault: The fault that spoiled it (`Fault.label`); None when none did.
    """

    time: datetime
    request_id: str
    job_id: str | None
    sha256: str | None
    bytes: int
    records_received: int
    records_saved: int
    dropped: Mapping[str, int]
    status: int | None
    code: str | None
    fault: str | None

    def to_json(self) -> dict[str, object]:
        """The upload as a line of a status log.

        Of the real log only the name RecordsSaved is documented; the others are the stand-in's.
        """
        return {
            "UploadTime": self.time.isoformat(timespec="microseconds"),
            "JobId": self.job_id,
            "RequestId": self.request_id,
            "FileSha256": self.sha256,
            "FileBytes": self.bytes,
            "RecordsReceived": self.records_received,
            "RecordsSaved": self.records_saved,
            "RecordsDropped": dict(self.dropped),
            "Status": self.status,
            "Code": self.code,
            "EmulatedFault": self.fault,
        }


@dataclass(frozen=True)
class Kept:
    """A kept record and the upload that brought it."""

    request_id: str
    record: Record

    def to_json(self) -> dict[str, object]:
        """The record as the page's JSON and the JSON lines have it."""
        return {
            "request_id": self.request_id,
            "user": self.record.user,
            "time": self.record.time,
            "time_kept": iso_of(self.record.instant_us),
            "source": self.record.source,
            "fields": dict(self.record.fields),
        }


class Store:
    """Uploads and kept records of an emulator. Safe between threads."""

    def __init__(self, jobs: Iterable[Job], options: Options, directory: Path | None) -> None:
        """Begin empty.

        Args:
            jobs: The jobs there are.
            options: For the cap of records in memory and the pairs to remember.
            directory: Where to append the JSON lines; None: nowhere.
        """
        self._options = options
        self._directory = directory
        self._uploads: deque[Upload] = deque(maxlen=_UPLOADS_CAP)
        self._kept: dict[str, deque[Kept]] = {
            job.job_id.lower(): deque(maxlen=options.keep_records) for job in jobs
        }
        self._saved: dict[str, int] = dict.fromkeys(self._kept, 0)
        self._pairs: dict[str, set[Pair]] = {job_id: set() for job_id in self._kept}
        self._lock = threading.RLock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the store from a look at `pairs` to the `add` that depends on it."""
        with self._lock:
            yield

    def pairs(self, job_id: str) -> Collection[Pair]:
        """The pairs kept from earlier files; empty unless they are to be remembered."""
        return self._pairs[job_id.lower()]

    def add(self, upload: Upload, kept: Sequence[Record]) -> None:
        """Put an upload on record, with the records it brought.

        Raises:
            RuntimeError: The JSON lines cannot be written; then nothing is on record.
        """
        items = [Kept(upload.request_id, record) for record in kept]
        with self._lock:
            if items and upload.job_id is not None:
                try:
                    self._append_lines(upload.job_id, items)
                except OSError as error:
                    # Not an OSError any more: those are lost clients to the server.
                    raise RuntimeError("the records cannot be written") from error
                self._kept[upload.job_id].extend(items)
                self._saved[upload.job_id] += len(items)
                if self._options.remember_pairs_across_files:
                    self._pairs[upload.job_id].update(record.pair for record in kept)
            self._uploads.append(upload)

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """Every upload, the oldest first."""
        with self._lock:
            return tuple(self._uploads)

    def kept(self, job_id: str) -> tuple[Kept, ...]:
        """A job's kept records, the oldest first.

        Raises:
            KeyError: There is no such job.
        """
        with self._lock:
            return tuple(self._kept[job_id.lower()])

    def saved(self, job_id: str) -> int:
        """How many records of a job were kept, those no longer in memory included.

        Raises:
            KeyError: There is no such job.
        """
        with self._lock:
            return self._saved[job_id.lower()]

    def _append_lines(self, job_id: str, items: Iterable[Kept]) -> None:
        if self._directory is None:
            return
        path = self._directory / f"records-{job_id}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(item.to_json()) + "\n" for item in items)
