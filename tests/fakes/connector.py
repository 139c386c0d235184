"""A connector on any disk with a service in the same process: rows in, uploads out, no network."""

from __future__ import annotations

import csv
import functools
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from irmcore import profile as profiles
from irmcore.clock import Clock
from irmcore.delivery.report import Report
from irmcore.delivery.sender import Sender
from irmcore.delivery.service import Service
from irmcore.disk import Disk
from irmcore.http.upload import Transport
from irmcore.intake.accept import accept
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Destination, Origin, Outbox, states
from irmcore.outbox.batch_files import read_manifest, read_payload, read_rowkeys
from irmcore.outbox.rowkeys import unpack
from irmcore.profile import Limits, Profile
from irmcore.shaping.batches import halves
from irmcore.shaping.readers import csv_table

PROFILE = """\
schema: 1
name: small
description: A user, a time, a score and a note.
connector:
  job_id: 5f0c0a52-6a8e-4a32-9d2c-0f2f6f6f0001
  tenant_id: 5f0c0a52-6a8e-4a32-9d2c-0f2f6f6f0002
  app_id: 5f0c0a52-6a8e-4a32-9d2c-0f2f6f6f0003
  credential: {env: NOT_ASKED}
columns:
  - {header: User, type: user}
  - {header: When, type: datetime}
  - {header: Score, type: number, role: threshold}
  - {header: Note, type: string}
"""
ORIGIN = Origin(user="tester", host="here", app="tests", details={"file": "/rows.csv"})
ROOT = "/outbox"


@functools.lru_cache(maxsize=8)
def small_profile(rows: int = 2) -> Profile:
    """A profile whose batches have at most ``rows`` rows."""
    return replace(profiles.parse(PROFILE, "small.yaml"), limits=Limits(rows=rows, bytes=1_000_000))


def row(number: int, day: int = 20) -> str:
    """A valid line; ``number`` is in its user and its note."""
    return f"user{number}@contoso.com,2026-11-{day:02d}T08:00:{number % 60:02d}Z,1,note {number}"


class Tokens:
    """An irmcore.http.auth.TokenSource that always returns the same token."""

    def token(self) -> str:
        return "a-token"

    def refresh(self) -> None:
        return


class Connector:
    """A connector whose outbox is on ``disk`` under /outbox, which exists and is durable."""

    def __init__(
        self, disk: Disk, clock: Clock, *, rows: int = 2, in_doubt: str = "hold", root: str = ROOT
    ) -> None:
        self.disk = disk
        self.clock = clock
        self.outbox = Outbox(disk, clock, f"{root}/small")
        self.profile = small_profile(rows)
        self.where = Destination("purview-indicators", {"cloud": "emulator", "job_id": "1"}, in_doubt)

    def accept(self, lines: Iterable[str]) -> RunResult:
        """Submit rows, as `irmexport send` does."""
        text = "\n".join(["User,When,Score,Note", *lines, ""])
        table = csv_table(io.BufferedReader(io.BytesIO(text.encode())), name="rows.csv")
        return accept(table, self.profile, self.outbox, ORIGIN, destination=self.where, lock_timeout=0.0)

    def sender(self, transport: Transport, *, in_flight: int = 1) -> Sender:
        service = Service(
            url=lambda _: "https://nowhere.test/api",
            transport=transport,
            tokens=Tokens(),
            setup="setup",
            deadline=10.0,
            splitters={"text/csv": halves},
            in_flight=in_flight,
        )
        return Sender(self.outbox, service, jitter=lambda: 0.0)

    def drain(self, transport: Transport) -> Report:
        """One drain, as `irmexport drain` does."""
        return self.sender(transport).drain()

    def states(self) -> dict[str, str]:
        """The folder and state of every batch, by id."""
        found: dict[str, str] = {}
        for batch in self.outbox.all_batches():  # a withdrawn batch may exist beside its successor
            found.setdefault(batch.id, f"{batch.folder} {batch.state.name if batch.state else 'unreadable'}")
        return found

    def accepted_keys(self) -> Counter[bytes]:
        """In how many batches, except withdrawn and split ones, each row key is."""
        found: Counter[bytes] = Counter()
        for batch in self.outbox.all_batches():
            if batch.state is None or batch.state.name not in (states.WITHDRAWN, states.SPLIT):
                found.update(key.key for key in unpack(read_rowkeys(self.outbox, batch)))
        return found

    def notes(self, *names: str) -> Iterator[str]:
        """The notes of the rows in all batches whose state is one of ``names``."""
        for batch in self.outbox.all_batches():
            if batch.state is not None and batch.state.name in names:
                yield from notes(read_payload(self.outbox, batch, read_manifest(self.outbox, batch)))


def notes(payload: bytes) -> list[str]:
    """The notes in a payload, by which the tests identify rows."""
    rows: Iterable[Mapping[str, str]] = csv.DictReader(io.StringIO(payload.decode()))
    return [row["Note"] for row in rows]


def notes_of(lines: Iterable[str]) -> list[str]:
    """The notes of lines of ``row``."""
    return [line.rsplit(",", 1)[1] for line in lines]
