"""Processes to be killed: a nursery that has imported everything forks workers on command.

    python -m tests.with_emulator.worker SETTINGS.json

Each line of its input is a command in JSON: ``{"spawn": act, …}`` is answered with the process id of a
new worker, ``{"wait": pid}`` with its exit status. A worker does its act with the real core (intake, or
a Sender with the real transport), and tells what it did by appending a line to a log, in one write.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from irmcore import profile as profiles
from irmcore.clock import SystemClock
from irmcore.delivery import connection as connections
from irmcore.delivery.connection import Connection
from irmcore.delivery.report import Report
from irmcore.delivery.sender import Sender
from irmcore.disk import PosixDisk
from irmcore.errors import OperatorError, OutboxBusy
from irmcore.http import auth
from irmcore.http import upload as transport
from irmcore.http.credentials import Secret
from irmcore.intake.accept import accept
from irmcore.operations import operations, retention
from irmcore.operations.connectors import Connectors
from irmcore.outbox import Batch, Origin, Outbox
from irmcore.outbox.retention import Periods
from irmcore.profile import Limits
from irmcore.shaping.readers import csv_table

HEADER = (
    "User_Principal_Name,Display_Name,Alert_Severity,Alert_Count,Aggregation_Date,"
    "Source_Workload,AdditionalInfo_Salesforce,AdditionalInfo_Dropbox"
)
#: Imported now, as a worker that imported them later would be killed at each read of their files.
LOADED = (auth, transport)
#: Rows of a batch: so few that a run has several.
BATCH_ROWS = 2


def line(number: int) -> str:
    """A valid row; ``number`` is in its user."""
    minute, second = divmod(number % 3600, 60)
    return f"user{number}@contoso.com,name,High,1,2026-11-20T08:{minute:02d}:{second:02d}Z,Dropbox,,"


class StaticTokens:
    """A fixed token, as MSAL takes longer to start than the test runs."""

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self) -> str:
        return self._token

    def refresh(self) -> None:
        return


class Forgetful(PosixDisk):
    """A disk that loses the state COMMIT: a test shows what that state protects against."""

    def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None:
        if b'"name":"COMMIT"' not in data:
            super().write_at(path, offset, data, sync=sync)


@dataclass
class Worker:
    """One process's work on the outbox under ``root``. ``ahead``: seconds by which its clock is ahead."""

    #: How others may be in the way of what this does, and seconds between two tries.
    BUSY: ClassVar[tuple[type[Exception], ...]] = (OutboxBusy,)
    PAUSE: ClassVar[float] = 0.002

    settings: dict[str, str]
    root: str
    log: Path
    forget_commit: bool = False
    in_flight: int = 1
    ahead: float = 0.0

    def __post_init__(self) -> None:
        profile = profiles.parse(profiles.shipped_text("salesforce-dropbox"), "shipped")
        ids = dict.fromkeys(("job_id", "tenant_id", "app_id"), self.settings["job_id"])
        connector = replace(profile.connector, **ids)
        self.profile = replace(profile, connector=connector, limits=Limits(BATCH_ROWS, 1_000_000))
        self.connection = Connection(profile.name, connector, self.settings["url"], self.settings["ca_file"])
        os.makedirs(self.root, mode=0o700, exist_ok=True)  # noqa: PTH103 - as the core has paths
        disk = Forgetful() if self.forget_commit else PosixDisk()
        self.outbox = Outbox(disk, SystemClock(), f"{self.root}/{connections.outbox_name(self.connection)}")

    def tell(self, *words: object) -> None:
        """Append a line to the log in one write, so that a kill leaves all of it or nothing."""
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
        os.close(descriptor)

    def accept(self, first: int, count: int) -> None:
        """Submit rows, and log when they were acknowledged."""
        text = "\n".join([HEADER, *(line(number) for number in range(first, first + count)), ""])
        table = csv_table(io.BufferedReader(io.BytesIO(text.encode())), name="rows.csv")
        where = connections.destination(self.connection)
        accept(table, self.profile, self.outbox, Origin("t", "h", "tests"), destination=where)
        self.tell("accepted", first, count)

    def drain(self) -> Report:
        """Drain once, and log the report."""
        service = connections.service(self.connection, lambda: Secret("not asked for"))
        service = replace(service, tokens=StaticTokens(self.settings["token"]), in_flight=self.in_flight)
        report = Sender(self.outbox, service, jitter=lambda: 0.0).drain()
        self.tell("drained", report.sent, report.held, report.queued)
        return report

    def again(self, first: int, count: int) -> None:
        """Do what happens after a kill: a drain, the same rows again, a drain."""
        if self.outbox.exists():
            self.drain()
        self.tell("drained before")
        self.accept(first, count)
        self.drain()

    def act(self, name: str) -> None:
        """Do what a person does to the oldest batch, or to all."""
        connectors = Connectors(self.outbox.disk, self.outbox.clock, self.root)
        verb, _, outcome = name.partition(" ")
        if verb == "resume":
            operations.resume(self.outbox, who="me")
            return
        oldest = next(iter(self.outbox.all_batches())).id
        if verb == "resolve":
            operations.resolve(self.outbox, oldest, outcome, who="me", why="so")
        elif verb == "requeue":
            operations.requeue(self.outbox, oldest, who="me", why="so")
        else:
            retention.clean_up(connectors.outboxes(), Periods(sent=0.0, refused=0.0, records=0.0))

    def act_again(self, name: str, first: int, count: int) -> None:
        """What happens after a kill in an act: the act once more, and all that ``again`` does."""
        with suppress(OperatorError, StopIteration):  # it was complete, or removed the last batch
            self.act(name)
        self.again(first, count)

    def load(self, first: int, count: int) -> None:
        """Submit rows and drain forever, for a kill at any moment."""
        while True:
            self.accept(first, count)
            self.drain()
            first += count

    def produce(self, first: int, count: int) -> None:
        """Submit rows forever, for a kill at any moment."""
        while True:
            self.accept(first, count)
            first += count

    def send(self) -> None:
        """Drain forever, as `irmexport drain` does, for a kill at any moment."""
        while True:
            if self.outbox.exists():
                with suppress(*self.BUSY):
                    self.drain()
            time.sleep(self.PAUSE)  # the queue is empty, or a person's command has the lock

    def decide(self, seed: int, known: str) -> None:
        """What a person does, forever, for a kill at any moment.

        The file ``known`` says of batches that are held which outcome is right.
        """
        rng = random.Random(seed)  # noqa: S311 - choices, not secrets
        outcomes = json.loads(Path(known).read_text())
        while not self.outbox.exists():
            time.sleep(0.002)  # no producer has come so far
        while True:
            batches = [*self.outbox.ready(), *self.outbox.quarantined()]
            verb, name = choose(rng, batches, outcomes)
            with suppress(OperatorError, *self.BUSY):  # the sender was faster, or has the lock
                if verb == "resume":
                    operations.resume(self.outbox, who="me", why="so")
                elif verb == "clean-up":
                    retention.clean_up([self.outbox], Periods(sent=0.0))
                elif verb == "requeue":
                    operations.requeue(self.outbox, name, who="me", why="so")
                else:
                    operations.resolve(self.outbox, name, verb, who="me", why="so")
                self.tell("did", verb, name)
            time.sleep(self.PAUSE)

    def requeue_dead(self) -> None:
        """Requeue every refused batch."""
        for batch in self.outbox.ready():
            if batch.state is not None and batch.state.name == "DEAD":
                operations.requeue(self.outbox, batch.id, who="me", why="so")

    def accept_many(self, first: int, count: int) -> None:
        """Submit overlapping runs of ``count`` rows, each half a run after the last."""
        for start in range(first, first + 4 * count, count // 2):
            self.accept(start, count)

    def drain_until(self, stop: str) -> None:
        """Drain beside others until the file ``stop`` exists and nothing is queued."""
        while True:
            last = os.path.exists(stop)  # noqa: PTH110 - as the core has paths
            try:
                queued = self.drain().queued if self.outbox.exists() else 1
            except OutboxBusy:
                queued = 1
            if last and not queued:
                return
            time.sleep(0.005)  # another process has the lock, or the queue is empty: try again soon


def choose(rng: random.Random, batches: list[Batch], outcomes: dict[str, str]) -> tuple[str, str]:
    """What a person does next, and to which batch. Only what the service does not have is given up."""
    for batch in rng.sample(batches, len(batches)):
        state = batch.state.name if batch.state else ""
        if state == "HELD" and batch.id in outcomes:
            return outcomes[batch.id], batch.id
        if state == "DEAD":
            return rng.choice(["requeue", "withdraw"]), batch.id
        if state in {"READY", "RETRY"} and rng.random() < 0.02:
            return "withdraw", batch.id
    return rng.choice(["resume", "clean-up"]), "-"


def spawn(settings: dict[str, str], command: dict[str, Any], kind: type[Worker]) -> int:
    """Fork a worker; with ``stopped`` it waits for SIGCONT first, so that strace can be attached."""
    pid = os.fork()
    if pid:
        if command.get("stopped"):
            os.waitpid(pid, os.WUNTRACED)
        return pid
    status = 1
    worker = None
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)  # the nursery's output is not a worker's
        worker = kind(
            settings,
            command.get("root", settings["root"]),
            Path(command["log"]),
            forget_commit=command.get("forget_commit", False),
            in_flight=command.get("in_flight", 1),
            ahead=command.get("ahead", 0.0),
        )
        act = getattr(worker, command["spawn"])
        if command.get("stopped"):
            os.kill(os.getpid(), signal.SIGSTOP)
        act(*command.get("given", []))
        status = 0
    except BaseException as error:  # noqa: BLE001 - told to the test
        if worker is not None:
            worker.tell("failed", repr(error), traceback.format_exc().replace("\n", " | "))
    finally:
        os._exit(status)


def nursery(settings: dict[str, str]) -> None:
    """Carry out the commands of standard input."""
    kind = Worker
    if "store" in settings:
        # Only then, as it loads the clients of stores.
        from tests.with_emulator.store_worker import StoreWorker  # noqa: PLC0415

        kind = StoreWorker
    for text in sys.stdin:
        command = json.loads(text)
        if "wait" in command:
            _, status = os.waitpid(command["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = spawn(settings, command, kind)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    nursery(json.loads(Path(sys.argv[1]).read_text()))
