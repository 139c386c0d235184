"""One connector as every command uses it: settings, outbox, intake and delivery."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from irmcore.clock import SystemClock
from irmcore.delivery import connection as connections
from irmcore.delivery.connection import Connection
from irmcore.delivery.report import Report
from irmcore.delivery.service import Service
from irmcore.errors import ConfigurationError
from irmcore.intake.accept import accept
from irmcore.intake.dry_run import dry_run
from irmcore.intake.pipeline import Progress
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Outbox
from irmcore.ownership import require_own_tree
from irmcore.profile import Profile
from irmcore.profile.published_limits import triggers
from irmcore.shaping.readers import Table

from irmcli.emulator.connection import connection_to
from irmcli.output import Output
from irmcli.session.delivery_output import drain
from irmcli.session.limits_output import of_today, show_limits
from irmcli.session.retention import clean_up_after
from irmcli.session.shaping_output import show_shaping
from irmcli.settings import Settings

if TYPE_CHECKING:
    from irmcore.operations.shared import Promotion


class ConnectorSession:
    """The connector of a profile, at Microsoft or at a local emulator."""

    def __init__(self, output: Output, settings: Settings, profile: Profile, connection: Connection) -> None:
        self._output = output
        self._settings = settings
        self._connection = connection
        self._profile = profile.at(connection.connector)
        name = connections.outbox_name(connection)
        self._own = Outbox(settings.disk, SystemClock(), f"{settings.outbox.absolute()}/{name}")
        #: Where batches are sent from: the directory, or the outbox at the address.
        self.outbox: Outbox = self._own
        self._promotion: Promotion | None = None
        if settings.address:
            from irmcore.operations.shared import Promotion

            from irmcli.session.shared import address_of

            address = address_of(settings)
            self.outbox = address.replica(name)
            self._promotion = Promotion(address, self._own)
        self._own_batches: tuple[str, ...] = ()
        self._prepared = False
        self._cached_service: Service | None = None

    @staticmethod
    def of(output: Output, settings: Settings, profile: Profile, emulator: str | None) -> ConnectorSession:
        """The session of a profile; ``emulator`` is the `--emulator` option. Raises ConfigurationError."""
        return ConnectorSession(output, settings, profile, connection_to(profile, emulator))

    def prepare(self) -> None:
        """Check the settings and create the outbox. Raises ConfigurationError.

        Commands call it before they read rows: an invalid setting is reported before any work is done,
        and the outbox records where to send, so a later drain can deliver whatever happens next.
        """
        if not self._prepared:
            self.check()
            self.create_outbox()
            self._prepared = True

    def check(self) -> None:
        """Check the settings; writes nothing. Raises ConfigurationError."""
        self._service()

    def create_outbox(self) -> None:
        """Create the outbox and record its destination in it. The credential may still be missing."""
        self._settings.outbox_ready()
        require_own_tree(self._own.path, ConfigurationError)
        self._own.create()
        connections.save(self._own, self._connection)

    def accept(
        self,
        table: Table,
        *,
        name: str,
        details: Mapping[str, str],
        max_refused: int | None = None,
        progress: Progress | None = None,
    ) -> RunResult:
        """Shape rows and store them durably. Raises as `irmcore.intake.accept`, StoreAway, StoreRefused."""
        self.prepare()
        there = self._promotion.accepted_there() if self._promotion is not None else None
        done = accept(
            table,
            self._profile,
            self._own,
            self._settings.origin(details),
            destination=connections.destination(self._connection),
            name=name,
            max_refused=max_refused,
            progress=progress,
            there=there,
        )
        self._own_batches = done.batches
        if self._promotion is None or there is None:
            return done
        from irmcli.session.shared import promote_run

        promoted = promote_run(self._settings, self._promotion, done, there)
        clean_up_after(self._output, self._own)
        return promoted

    def payloads(self) -> list[Path]:
        """The files with the rows of the run that was accepted last, as far as they are still here."""
        found = [self._own.find(batch) for batch in self._own_batches]
        return [Path(batch.path, "payload") for batch in found if batch is not None]

    def dry_run(self, table: Table, *, name: str, progress: Progress | None = None) -> RunResult:
        """Shape rows as `accept` does; writes nothing."""
        there = self._promotion.accepted_there() if self._promotion is not None else None
        return dry_run(table, self._profile, self._own, name=name, progress=progress, there=there)

    def show(self, done: RunResult, *, dry: bool) -> None:
        """Print what happened to the rows, and whether today's come near to what a day may have."""
        show_shaping(self._output, done, dry=dry, connector=self.outbox.name)
        if not dry and triggers(self._profile):
            show_limits(self._output, of_today([(self._profile, self._own)]))

    def deliver(self, *, until: float | None = None) -> tuple[Report, int]:
        """Send what is queued and print it; returns the report and the exit code.

        No upload starts after ``until`` (monotonic seconds). What could not be promoted before is, first.
        """
        if self._promotion is not None:
            self._promotion.rest()
        return drain(self._output, self.outbox, self._service(), until=until)

    def _service(self) -> Service:
        """The service, created once: `watch` delivers every few seconds and keeps its token."""
        if self._cached_service is None:
            self._cached_service = self._settings.service(self._connection, warn=self._output.warn)
            reference, to = self._connection.connector.credential, self._connection.endpoints()
            self._output.detail(
                f"profile {self._profile.name} to {to.upload}, sign-in at {to.login} "
                f"with {reference.kind} {reference.name}"
            )
        return self._cached_service

    def drain(self) -> int:
        """Send what is queued and print it; returns the exit code."""
        return self.deliver()[1]
