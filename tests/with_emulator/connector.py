"""A connector that sends to an emulator, with the real transport, the real MSAL and a real outbox."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from click.testing import Result
from irmcli.emulator.connection import connection_to
from irmcli.emulator.launch import announce, create_emulator
from irmcore import profile as profiles
from irmcore.clock import Clock, SystemClock
from irmcore.delivery import connection as connections
from irmcore.delivery.connection import Connection
from irmcore.delivery.report import Report
from irmcore.delivery.sender import Sender
from irmcore.disk import PosixDisk
from irmcore.http import credentials
from irmcore.intake.accept import accept
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Batch, Origin, Outbox
from irmcore.profile import Profile
from irmcore.shaping.readers import csv_table
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import Options

#: Runs `irmexport` with these words in this process.
Run = Callable[..., Result]
HEADER = (
    "User_Principal_Name,Display_Name,Alert_Severity,Alert_Count,Aggregation_Date,"
    "Source_Workload,AdditionalInfo_Salesforce,AdditionalInfo_Dropbox"
)
ORIGIN = Origin(user="tester", host="here", app="tests", details={})


def salesforce() -> Profile:
    """The shipped profile of Microsoft's example 2."""
    return profiles.parse(profiles.shipped_text("salesforce-dropbox"), "salesforce-dropbox.yaml")


def row(number: int, name: str = "A detection") -> str:
    """A valid row; ``number`` is in its user, its count and its second."""
    minute, second = divmod(number, 60)
    time = f"2026-11-20T08:{minute:02d}:{second:02d}Z"
    return f"user{number}@contoso.com,{name},High,{number},{time},Dropbox,,text"


class Rig:
    """An emulator, and one connector of this machine that sends to it."""

    def __init__(
        self, directory: Path, options: Options | None = None, *, lifetime: float = 600, **settings: Any
    ) -> None:
        self.directory = directory
        self.profile = replace(salesforce(), **settings)
        self.emulator: PurviewEmulator = create_emulator(
            directory / "emulator", [self.profile], options or Options(), lifetime=lifetime
        )
        self.clock: Clock = SystemClock()
        self._tokens: Any = None

    def start(self) -> None:
        self.emulator.start()
        announce(self.directory / "emulator", self.emulator)

    @property
    def connection(self) -> Connection:
        return connection_to(self.profile, str(self.directory / "emulator"))

    @property
    def job(self) -> str:
        return self.connection.connector.job_id

    @property
    def outbox(self) -> Outbox:
        root = self.directory / "outbox"
        root.mkdir(mode=0o700, exist_ok=True)
        name = connections.outbox_name(self.connection)
        return Outbox(PosixDisk(), self.clock, f"{root}/{name}")

    def accept(self, rows: Iterable[str]) -> RunResult:
        """Submit rows to the outbox."""
        text = "\n".join([HEADER, *rows]) + "\n"
        table = csv_table(io.BufferedReader(io.BytesIO(text.encode())), name="rows.csv")
        where = connections.destination(self.connection)
        at = self.profile.at(self.connection.connector)
        return accept(table, at, self.outbox, ORIGIN, destination=where)

    def sender(
        self, change: Callable[[Connection], Connection] = lambda same: same, **service: Any
    ) -> Sender:
        """A sender; ``change`` alters the connection's settings, ``service`` the service's."""
        connection = change(self.connection)
        place = connection.connector.credential
        made = connections.service(connection, lambda: credentials.read(place.kind, place.name, {}))
        if self._tokens is not None and "tokens" not in service:
            service["tokens"] = self._tokens  # one sign-in serves all drains of a test
        made = replace(made, **service)
        self._tokens = made.tokens
        return Sender(self.outbox, made, jitter=lambda: 0.0)

    def drain(self) -> Report:
        return self.sender().drain()

    def batches(self) -> list[Batch]:
        """All batches in ready/, the oldest first."""
        return self.outbox.ready()

    def states(self) -> list[tuple[str, str]]:
        """State and reason of all batches in ready/."""
        return [(b.state.name, b.state.reason) for b in self.batches() if b.state]

    def kept(self) -> list[str]:
        """The users of the records that the emulator kept, sorted."""
        return sorted(record.user for record in self.emulator.records(self.job))
