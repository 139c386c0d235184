"""Delivers a search head's outboxes: one connector after the other, as the system user, for an hour at most.

A connector's turn is limited in time, so one that hangs does not hold up the others, and its errors are
logged and stop no other. The process may be killed at any moment; the outbox is built for that.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from typing import Any, BinaryIO, Callable

from irmcore.advice import advice
from irmcore.clock import Clock, SystemClock
from irmcore.delivery.connection import Connection, outbox_name, service
from irmcore.delivery.sender import Sender
from irmcore.delivery.service import Service
from irmcore.disk import Disk, system_disk
from irmcore.errors import IrmError, OutboxBusy
from irmcore.http.credentials import Secret
from irmcore.operations.connectors import Connectors, profile_of
from irmcore.operations.retention import clean_up_daily
from irmcore.operations.rewriting import migrate_if_old
from irmcore.operations.status import connector_status
from irmcore.outbox import Batch, Manifest, Outbox, states

from irmsplunk.sender import modular_input
from irmsplunk.sender.bulletin import Bulletin
from irmsplunk.sender.configuration import Configuration
from irmsplunk.sender.problems import Problems
from irmsplunk.splunk import passwords
from irmsplunk.splunk.app_log import AppLog
from irmsplunk.splunk.connectors import stanzas
from irmsplunk.splunk.heartbeat import Heartbeat
from irmsplunk.splunk.next_steps import in_splunk
from irmsplunk.splunk.paths import Paths
from irmsplunk.splunk.splunkd import Splunkd

#: Seconds between two looks at the outboxes, between two readings of the configuration, and between two
#: status reports in the log, which the dashboard shows.
_POLL_INTERVAL = 1.0
_CONFIGURATION_INTERVAL = 30.0
_REPORT_INTERVAL = 60.0
#: Seconds of a connector's turn, and before it gets another one if its queue has not changed.
_TURN = 20.0
_UNCHANGED_INTERVAL = 5.0
_CHECK_DISK = (
    "Check the disk (space, health, mounted read-only), and whether the user that runs splunkd owns the "
    "outbox directory."
)


class SenderLoop:
    """``configured`` reads the connectors that send, ``secret`` the secret of one of them."""

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        root: str,
        app_log: AppLog,
        *,
        configured: Callable[[], Mapping[str, Connection]],
        secret: Callable[[Connection], Secret],
        problems: Problems,
    ) -> None:
        self._disk = disk
        self._clock = clock
        self._root = root
        self._app_log = app_log
        self._configured = configured
        self._secret = secret
        self._problems = problems
        self._connectors = Connectors(disk, clock, root)
        self._services: dict[str, tuple[Connection, Service]] = {}
        #: For each connector: the queued batches that its last turn left, and when to try those again.
        self._left: dict[str, tuple[tuple[str, ...], float]] = {}

    def run(self, life: float) -> None:
        """Send for ``life`` seconds."""
        end = self._clock.monotonic() + life
        next_reading = next_report = self._clock.monotonic()
        connections: Mapping[str, Connection] = {}
        with Heartbeat(self._root, self._clock):
            self._app_log.write("INFO", "started", life=life)
            self._clean_up()
            while self._clock.monotonic() < end:
                if self._clock.monotonic() >= next_reading:
                    connections = self._configured()
                    self._report_orphans(connections)
                    next_reading = self._clock.monotonic() + _CONFIGURATION_INTERVAL
                for name, connection in connections.items():
                    self._turn(name, connection, end)
                if self._clock.monotonic() >= next_report:
                    self._log_status()
                    next_report = self._clock.monotonic() + _REPORT_INTERVAL
                self._clock.sleep(min(_POLL_INTERVAL, max(0.0, end - self._clock.monotonic())))
            self._app_log.write("INFO", "ended", rows_queued=self._rows_queued())

    def run_once(self, first: str, seconds: float) -> None:
        """Give each connector one turn, ``first`` before the others, in ``seconds`` altogether.

        Then delete what is past its retention time. A connector that another process sends for is skipped.
        """
        end = self._clock.monotonic() + seconds
        connections = self._configured()
        for name in sorted(connections, key=lambda name: (name != first, name)):
            if self._clock.monotonic() < end:
                self._turn(name, connections[name], end)
        self._clean_up()

    def _turn(self, name: str, connection: Connection, end: float) -> None:
        outbox = Outbox(self._disk, self._clock, f"{self._root}/{outbox_name(connection)}")
        try:
            self._send_queued(name, connection, outbox, end)
        except OutboxBusy:
            return  # a person's command holds the lock for a moment; the next turn tries again
        except IrmError as error:
            self._problems.report(name, "ERROR", "cannot-send", what=error.what, next_step=error.next_step)
        except OSError as error:
            what = f"the outbox cannot be read or written ({error.strerror})"
            self._problems.report(name, "ERROR", "cannot-send", what=what, next_step=_CHECK_DISK)
        except Exception as error:  # noqa: BLE001 - one connector's bug must not stop the others
            at = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(at.filename)}:{at.lineno}"
            self._problems.report(name, "ERROR", "fault", what=type(error).__name__, where=place)

    def _send_queued(self, name: str, connection: Connection, outbox: Outbox, end: float) -> None:
        """Send the queued batches, unless the last turn just left the same ones."""
        if migrate_if_old(outbox):  # nobody has a shell here
            self._app_log.write("INFO", "migrated", connector=name)
        ready = self._ready(outbox)
        left, retry_at = self._left.get(name, ((), 0.0))
        now = self._clock.monotonic()
        if not ready:
            self._clear_problem(name, outbox)
            return
        if ready == left and now < retry_at:
            return
        try:
            self._drain(name, connection, outbox, min(now + _TURN, end))
        finally:
            self._left[name] = (ready, self._clock.monotonic() + _UNCHANGED_INTERVAL)
        self._left[name] = (self._ready(outbox), self._clock.monotonic() + _UNCHANGED_INTERVAL)

    def _ready(self, outbox: Outbox) -> tuple[str, ...]:
        return tuple(self._disk.names(f"{outbox.path}/ready"))

    def _drain(self, name: str, connection: Connection, outbox: Outbox, until: float) -> None:
        def log(event: str, batch: Batch, manifest: Manifest, detail: Mapping[str, Any]) -> None:
            if event == "start":
                return
            # Never the reply's text: it may quote a row.
            details = {
                key: detail[key] for key in ("code", "status", "request_id", "attempt") if key in detail
            }
            details["seconds"] = round(max(0.0, self._clock.now() - manifest.accepted), 3)
            level = "INFO" if event == "sent" else "WARN"
            facts = {"connector": name, "run": manifest.run, "batch": batch.id[:12], "rows": manifest.rows}
            self._app_log.write(level, event, **facts, **details)

        report = Sender(outbox, self._service(name, connection), listener=log).drain(until=until)
        if report.trouble:
            counts = {
                key: value for key, value in report.as_dict().items() if isinstance(value, int) and value
            }
            next_step = report.advice or advice(report.trouble)
            self._problems.report(name, "WARN", "waiting", code=report.trouble, next_step=next_step, **counts)
        else:
            self._clear_problem(name, outbox)

    def _clear_problem(self, name: str, outbox: Outbox) -> None:
        """Take back a connector's problem, also one of an earlier process, once nothing needs a person."""
        if self._problems.is_clear(name):
            return
        if outbox.exists() and connector_status(outbox).needs_person:
            return
        self._problems.clear(name)

    def _service(self, name: str, connection: Connection) -> Service:
        """The service of a connector, reused with its token until the configuration changes."""
        known = self._services.get(name)
        if known is None or known[0] != connection:
            known = (connection, service(connection, lambda: self._secret(connection)))
            self._services[name] = known
        return known[1]

    def _rows_queued(self) -> int | None:
        """The rows that are queued in all outboxes; None if one cannot be read."""
        try:
            return sum(connector_status(outbox).rows_queued for outbox in self._connectors.outboxes())
        except (IrmError, OSError):
            return None

    def _log_status(self) -> None:
        """Log the status of each connector that has an outbox: what is queued, and what needs a person."""
        try:
            for outbox in self._connectors.outboxes():
                self._app_log.write("INFO", "status", **self._status(outbox))
        except (IrmError, OSError) as error:
            self._app_log.write("WARN", "report-failed", what=type(error).__name__)

    def _status(self, outbox: Outbox) -> dict[str, Any]:
        overview = connector_status(outbox)
        held = [item for item in overview.items if item.state == states.HELD]
        age = self._clock.now() - overview.oldest if overview.oldest else 0
        return {
            "connector": profile_of(outbox) or overview.name,
            "mode": overview.mode,
            "reason": overview.reason,
            "queued": overview.queued,
            "rows_queued": overview.rows_queued,
            "oldest_seconds": round(max(0.0, age)),
            "proposed": overview.proposed,
            "proposed_seconds": round(self._clock.now() - overview.proposed_since)
            if overview.proposed
            else 0,
            "held": len(held),
            "rows_held": sum(item.rows for item in held),
            "others": len(overview.items) - len(held),
        }

    def _report_orphans(self, connections: Mapping[str, Connection]) -> None:
        """Report queued batches whose connector was removed, disabled or given another job."""
        names = {outbox_name(connection) for connection in connections.values()}
        for outbox in self._connectors.outboxes():
            name = outbox.path.rsplit("/", 1)[1]
            if name in names:
                continue
            try:
                queued = len(self._ready(outbox))
            except OSError as error:
                what = f"it cannot be read ({error.strerror})"
                self._problems.report(name, "WARN", "no-connector", what=what)
                continue
            if queued:
                what = "batches are queued here, but no connector sends them"
                self._problems.report(name, "WARN", "no-connector", what=what, batches=queued)

    def _clean_up(self) -> None:
        for outbox in self._connectors.outboxes():
            deleted = clean_up_daily(outbox, lambda what: self._app_log.write("WARN", "clean-up", what=what))
            if deleted is not None and any(deleted[:3]):
                self._app_log.write("INFO", "cleaned-up", connector=outbox.name, **deleted._asdict())


def _loop(splunkd: Splunkd, paths: Paths, clock: Clock, app_log: AppLog) -> SenderLoop:
    """The sender of this search head; ``splunkd`` is splunkd as the system user."""
    return SenderLoop(
        system_disk(),
        clock,
        paths.create_outbox(),
        app_log,
        configured=Configuration(splunkd, app_log).read,
        secret=lambda connection: passwords.read(splunkd, connection),
        problems=Problems(app_log, Bulletin(splunkd)),
    )


def send_once(splunkd: Splunkd, paths: Paths, clock: Clock, *, first: str, seconds: float) -> None:
    """Send what is queued on a search head whose sender is not running. Raises IrmError, OSError."""
    app_log = AppLog(paths.logs, clock, "sender")
    _loop(splunkd, paths, clock, app_log).run_once(first, seconds)


def serve(environment: Mapping[str, str], stdin: BinaryIO) -> int:
    """Run the modular input once and return the exit code; splunkd restarts it after the input's interval.

    Without a connector or an outbox there is nothing to do until the next start. The connectors' conf file
    replicates in a search head cluster, so the first connector starts the sender of every member.
    """
    clock, paths = SystemClock(), Paths.from_environment(environment)
    app_log = AppLog(paths.logs, clock, "sender")
    try:
        start = modular_input.read_start(stdin)
        splunkd = Splunkd(start.uri, start.session_key)
        loop = _loop(splunkd, paths, clock, app_log)
        if not stanzas(splunkd) and not Connectors(system_disk(), clock, paths.outbox).outboxes():
            Heartbeat(paths.outbox, clock).beat()
        else:
            loop.run(start.life)
    except IrmError as error:
        app_log.write("ERROR", "ended", what=in_splunk(str(error)))
        return 1
    return 0
