"""The process that forks the workers of ``worker``, and the emulator that they send to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from irmcore.clock import SystemClock
from irmcore.delivery import connection as connections
from irmcore.disk import PosixDisk
from irmcore.http import credentials
from irmcore.outbox import Batch, Outbox
from irmcore.outbox.batch_files import read_manifest, read_payload

from tests.with_emulator.connector import Rig
from tests.with_emulator.store_worker import replica_of

ROOT = Path(__file__).parents[2]


class Nursery:
    """The process that forks the workers, and the emulator that they send to."""

    def __init__(self, rig: Rig, store: Mapping[str, str] = MappingProxyType({})) -> None:
        """``store``: its address and CA file, if the outbox is on one (see ``store_worker``)."""
        self.rig = rig
        self.directory = rig.directory
        #: Seconds by which the clocks of workers are ahead, on a store.
        self.ahead = 0.0
        place = rig.connection.connector.credential
        service = connections.service(rig.connection, lambda: credentials.read(place.kind, place.name, {}))
        self.settings = {
            "root": str(rig.directory / "outbox"),
            "url": rig.emulator.url,
            "ca_file": str(rig.emulator.ca_file),
            "job_id": rig.job,
            "token": service.tokens.token(),
            **store,
        }
        file = rig.directory / "worker.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(self.settings))
        self.log = rig.directory / "log"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.with_emulator.worker", file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    @property
    def on_store(self) -> bool:
        """Whether the outbox is on a store, which several machines share."""
        return "store" in self.settings

    def hosts(self, count: int) -> list[dict[str, Any]]:
        """What makes a worker one of so many machines, if there are several."""
        if not self.on_store:
            return [{}] * count
        return [{"root": f"{self.directory}/host{n}", "ahead": self.ahead} for n in range(count)]

    def _ask(self, **command: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def spawn(self, operation: str, *given: object, **more: Any) -> int:
        """Start a worker that does ``operation``, and return its process id."""
        return self._ask(spawn=operation, given=given, **{"log": str(self.log), **more})

    def wait(self, pid: int) -> int:
        """A worker's exit status, or minus the signal that killed it."""
        return self._ask(wait=pid)

    def run(self, operation: str, *given: object, **more: Any) -> None:
        """Run a worker that must end by itself."""
        assert self.wait(self.spawn(operation, *given, **more)) == 0, self.told()

    def told(self, log: Path | None = None) -> list[list[str]]:
        """What workers have logged, line by line."""
        file = log or self.log
        return [line.split(" ") for line in file.read_text().splitlines()] if file.exists() else []

    def acknowledged(self, log: Path | None = None) -> set[int]:
        """The rows that were acknowledged."""
        runs = [words for words in self.told(log) if words[0] == "accepted"]
        return {row for _, first, count in runs for row in range(int(first), int(first) + int(count))}

    def kept(self) -> Counter[int]:
        """How often the emulator has kept each row."""
        return Counter(number_of(record.user) for record in self.rig.emulator.records(self.rig.job))

    def held(self, root: str | None = None) -> set[int]:
        """The rows in HELD batches."""
        outbox = self.outbox(root)
        rows: set[int] = set()
        for batch in outbox.ready():
            assert batch.state is not None
            assert batch.state.name == "HELD", batch.state
            rows |= rows_of(outbox, batch)
        assert outbox.quarantined() == []
        return rows

    def outbox(self, root: str | None = None) -> Outbox:
        """The workers' outbox."""
        name = connections.outbox_name(self.rig.connection)
        if self.on_store:
            found = replica_of(self.settings, name, SystemClock())
            found.exists()  # reads its key
            return found
        return Outbox(PosixDisk(), SystemClock(), f"{root or self.settings['root']}/{name}")

    def place(self, number: int) -> dict[str, str]:
        """An outbox and a log of their own."""
        return {"root": str(self.directory / str(number)), "log": str(self.directory / f"{number}.log")}

    def close(self) -> None:
        """End the nursery."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def rows_of(outbox: Outbox, batch: Batch) -> set[int]:
    """The numbers of the rows in a batch."""
    payload = read_payload(outbox, batch, read_manifest(outbox, batch)).decode()
    return {number_of(text.split(",")[0]) for text in payload.splitlines()[1:]}


def number_of(user: str) -> int:
    """The number in a row's user."""
    return int(user.removeprefix("user").split("@")[0])


def repeats(rig: Rig) -> list[str]:
    """The files that the emulator has kept more than once."""
    files = Counter(upload.sha256 for upload in rig.emulator.uploads if upload.records_saved)
    return [str(sha256) for sha256, times in files.items() if times > 1]
