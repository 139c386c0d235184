"""The way of rows into one connector, as every command goes it: settings, outbox, intake, delivery.

What joins the command line from outside (irmsentinel.cli.host has the protocol) goes the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.delivery import connection as connections
from irmcore.delivery.connection import Connection
from irmcore.delivery.report import Report
from irmcore.delivery.service import Service
from irmcore.disk import system_disk
from irmcore.errors import IrmError
from irmcore.intake.accept import accept
from irmcore.intake.dry_run import dry_run
from irmcore.intake.pipeline import Progress
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Outbox
from irmcore.profile import Profile
from irmcore.shaping.readers import Table

from irmcli.emulator.connection import connection_to
from irmcli.exit_codes import DONE, ROWS_REFUSED, code_of, disk_trouble, worst
from irmcli.output import Output
from irmcli.session import delivery_output as delivered
from irmcli.session import shaping_output as shaped
from irmcli.settings import Settings


class ConnectorSession:
    """The way into the connector of a profile, at Microsoft or at a local stand-in."""

    def __init__(self, output: Output, settings: Settings, profile: Profile, connection: Connection) -> None:
        self._output = output
        self._settings = settings
        self._connection = connection
        self._profile = profile.at(connection.connector)
        path = f"{settings.outbox.absolute()}/{connections.outbox_name(connection)}"
        self.outbox = Outbox(system_disk(), SystemClock(), path)
        self._ready = False
        self._made: Service | None = None

    def prepare(self) -> None:
        """Make the outbox, with the settings that a drain will need. Raises ConfigurationError.

        Before any row is taken: settings that cannot work are told now, not after the shaping, and
        whatever happens later, a drain knows where to.
        """
        if not self._ready:
            self.check()
            self.make()
            self._ready = True

    def check(self) -> None:
        """Find settings that cannot work; nothing is written. Raises ConfigurationError."""
        self._service()

    def make(self) -> None:
        """Make the outbox, with where it is sent to; the credential may still be missing."""
        self._settings.outbox_ready()
        self.outbox.create()
        connections.save(self.outbox, self._connection)

    def accept(
        self,
        table: Table,
        *,
        name: str,
        details: Mapping[str, str],
        max_refused: int | None = None,
        progress: Progress | None = None,
    ) -> RunResult:
        """Shape rows and keep them durably. Raises as `accept`."""
        self.prepare()
        return accept(
            table,
            self._profile,
            self.outbox,
            self._settings.origin(details),
            destination=connections.destination(self._connection),
            name=name,
            max_refused=max_refused,
            progress=progress,
        )

    def dry_run(self, table: Table, *, name: str, progress: Progress | None = None) -> RunResult:
        """The same, writing nothing."""
        return dry_run(table, self._profile, self.outbox, name=name, progress=progress)

    def show(self, done: RunResult, *, dry: bool) -> None:
        """Tell what became of the rows."""
        shaped.show(self._output, done, dry=dry)

    def deliver(self, *, until: float | None = None) -> tuple[Report, int]:
        """Send what waits and tell it; what was done, and the exit code that it means.

        ``until``: the moment (monotonic seconds) after which no upload begins.
        """
        return delivered.drain(self._output, self.outbox, self._service(), until=until)

    def _service(self) -> Service:
        """The same one each time, with its token: `watch` delivers every few seconds."""
        if self._made is None:
            self._made = self._settings.service(self._connection, warn=self._output.warn)
        return self._made

    def drain(self) -> int:
        """The same, for the exit code alone."""
        return self.deliver()[1]


class Ways:
    """What a command from outside needs of this command line."""

    def __init__(self, output: Output, settings: Settings) -> None:
        self._output = output
        self._settings = settings

    @property
    def configuration(self) -> Path:
        """The folder of the user's own configuration."""
        return self._settings.configuration

    @property
    def environment(self) -> Mapping[str, str]:
        """Where a secret may be."""
        return self._settings.environment

    def outbox(self) -> Path:
        """The folder of all outboxes, made if need be. Raises ConfigurationError."""
        return Path(self._settings.outbox_ready())

    def way(self, profile: str, emulator: str | None) -> ConnectorSession:
        """The way by a profile, to Microsoft or to the local stand-in. Raises ConfigurationError."""
        found = self._settings.profile(profile)
        return ConnectorSession(self._output, self._settings, found, connection_to(found, emulator))

    def tell(self, trouble: Exception) -> int:
        """Show an IrmError or OSError that does not end the command; the exit code that it means."""
        if isinstance(trouble, OSError):
            trouble = disk_trouble(trouble)
        if not isinstance(trouble, IrmError):
            raise trouble
        if not self._output.as_json:
            self._output.error(trouble)
        return code_of(trouble)

    def code_of_rows(self, refused: int) -> int:
        """The exit code of rows that were accepted, of which so many were refused."""
        return ROWS_REFUSED if refused else DONE

    def worst(self, codes: list[int]) -> int:
        """The exit code of several outcomes together."""
        return worst(codes)
