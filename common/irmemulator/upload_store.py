"""The emulator's memory: every upload, and the records that were saved.

Promised: the records of a job are in the order in which they were saved. With a directory, all of them are
also appended to `records-<job id>.jsonl` (mode 0600) there; in memory the oldest are dropped when a limit is
reached. Not promised: durability. Nothing is synced, and nothing is read back at the start.
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

from irmemulator.event_times import format_time
from irmemulator.file_rules import Pair, Record
from irmemulator.settings import Job, Options

_UPLOADS_CAP = 100_000


@dataclass(frozen=True)
class Upload:
    """One POST to /api/signals and its outcome.

    ``job_id`` is in lower case, None if there is no such job; ``sha256`` is None if the body had no readable
    file, and then ``bytes`` is the size of the body. ``dropped`` has reasons of `file_rules`. ``status`` is
    None if the connection ended without a reply; ``code`` is why the checks refused the upload, whatever
    ``fault`` (`Fault.label`) spoiled it.
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

        Of the real log only the name RecordsSaved is documented; the others are the emulator's.
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
class KeptRecord:
    """A saved record and the upload it came with."""

    request_id: str
    record: Record

    def to_json(self) -> dict[str, object]:
        """The record as it is in `/records` and in the JSON lines."""
        return {
            "request_id": self.request_id,
            "user": self.record.user,
            "time": self.record.time,
            "time_kept": format_time(self.record.instant_us),
            "source": self.record.source,
            "fields": dict(self.record.fields),
        }


class UploadStore:
    """Uploads and saved records of an emulator. Safe between threads."""

    def __init__(self, jobs: Iterable[Job], options: Options, directory: Path | None) -> None:
        """Start empty; the JSON lines are appended in ``directory``, if there is one."""
        self._options = options
        self._directory = directory
        self._uploads: deque[Upload] = deque(maxlen=_UPLOADS_CAP)
        self._kept: dict[str, deque[KeptRecord]] = {
            job.job_id.lower(): deque(maxlen=options.keep_records) for job in jobs
        }
        self._saved: dict[str, int] = dict.fromkeys(self._kept, 0)
        self._pairs: dict[str, set[Pair]] = {job_id: set() for job_id in self._kept}
        self._lock = threading.RLock()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the store between reading `pairs` and the `add` that depends on them."""
        with self._lock:
            yield

    def pairs(self, job_id: str) -> Collection[Pair]:
        """The pairs saved from earlier files; empty unless the options ask to remember them."""
        return self._pairs[job_id.lower()]

    def add(self, upload: Upload, kept: Sequence[Record]) -> None:
        """Record an upload and its records. Raises RuntimeError, and then records nothing."""
        items = [KeptRecord(upload.request_id, record) for record in kept]
        with self._lock:
            if items and upload.job_id is not None:
                try:
                    self._append_lines(upload.job_id, items)
                except OSError as error:
                    # Not an OSError: to the server that means that the client is gone.
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

    def kept(self, job_id: str) -> tuple[KeptRecord, ...]:
        """The saved records of a job that are in memory, the oldest first. Raises KeyError."""
        with self._lock:
            return tuple(self._kept[job_id.lower()])

    def saved(self, job_id: str) -> int:
        """How many records of a job were saved, including those no longer in memory. Raises KeyError."""
        with self._lock:
            return self._saved[job_id.lower()]

    def _append_lines(self, job_id: str, items: Iterable[KeptRecord]) -> None:
        if self._directory is None:
            return
        path = self._directory / f"records-{job_id}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(item.to_json()) + "\n" for item in items)
