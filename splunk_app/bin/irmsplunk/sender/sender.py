"""Delivers what is queued: one connector after the other, as the system user, for an hour at most.

On a member of a cluster, what the directory of this search head has goes to the outbox that all members
share, and one of them at a time delivers from there.

A connector's turn is limited in time, so one that hangs does not hold up the others, and its errors are
logged and stop no other. The process may be killed at any moment; the outbox is built for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Callable

from irmcore.advice import advice
from irmcore.clock import Clock, SystemClock
from irmcore.delivery.connection import Connection, outbox_name, service
from irmcore.delivery.report import Report, log_fields
from irmcore.delivery.sender import Sender
from irmcore.delivery.service import Service
from irmcore.disk import Disk, system_disk
from irmcore.errors import IrmError, OutboxBusy, StoreAway
from irmcore.http.credentials import Secret
from irmcore.intake.accept import CONTENT_TYPE
from irmcore.operations.connectors import Connectors, profile_of
from irmcore.operations.retention import clean_up_daily
from irmcore.operations.rewriting import migrate_if_old
from irmcore.operations.shared import Promotion, name_there
from irmcore.operations.status import ConnectorStatus, connector_status
from irmcore.outbox import Batch, Manifest, Outbox, states
from irmcore.outbox.on_store.replica import Replica
from irmcore.shaping.batches import halves
from irmcore.store.store import Store

from irmsplunk.cluster.cluster import Cluster, MemberConnectors
from irmsplunk.cluster.member import Member, goes_to_cluster, this_member
from irmsplunk.sender import modular_input
from irmsplunk.sender.bulletin import Bulletin
from irmsplunk.sender.configuration import Configuration
from irmsplunk.sender.problems import Problems
from irmsplunk.splunk import passwords
from irmsplunk.splunk.app_log import AppLog, place_of
from irmsplunk.splunk.connectors import CLUSTER, DIRECTORY, Configured, stanzas
from irmsplunk.splunk.heartbeat import Heartbeat
from irmsplunk.splunk.kv_store import KvStore
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
#: The longest time between two looks at what the cluster could not send yet. Each look takes the lease.
_CLUSTER_INTERVAL = 60.0
_CHECK_DISK = (
    "Check the disk (space, health, mounted read-only), and whether the user that runs splunkd owns the "
    "outbox directory."
)


class SenderLoop:
    """``configured`` reads the connectors that send, ``secret`` the secret of one of them, and ``member``
    what splunkd says of this search head, whose KV store is ``store``.
    """

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        root: str,
        app_log: AppLog,
        *,
        configured: Callable[[], Mapping[str, Configured]],
        secret: Callable[[Connection], Secret],
        problems: Problems,
        member: Callable[[], Member],
        store: Store,
    ) -> None:
        self._disk = disk
        self._clock = clock
        self._root = root
        self._app_log = app_log
        self._configured = configured
        self._secret = secret
        self._problems = problems
        self._member, self._store = member, store
        self._connectors = Connectors(disk, clock, root)
        self._connections: Mapping[str, Configured] = {}
        self._cluster = Cluster(store, Member("", "", in_cluster=False), clock)
        self._replicas: dict[str, Replica] = {}
        self._services: dict[str, tuple[Connection, Service]] = {}
        #: For each outbox: the queued batches that its last turn left, and when to try those again.
        self._left: dict[str, tuple[tuple[str, ...], float]] = {}

    def run(self, life: float) -> None:
        """Send for ``life`` seconds."""
        end = self._clock.monotonic() + life
        next_reading = next_report = self._clock.monotonic()
        with Heartbeat(self._root, self._clock):
            self._app_log.write("INFO", "started", life=life)
            self._read_configuration()
            self._report_orphans()
            self._clean_up()
            next_reading += _CONFIGURATION_INTERVAL
            while self._clock.monotonic() < end:
                if self._clock.monotonic() >= next_reading:
                    self._read_configuration()
                    self._report_orphans()
                    next_reading = self._clock.monotonic() + _CONFIGURATION_INTERVAL
                for name, configured in self._connections.items():
                    self._turn(name, configured, end)
                if self._clock.monotonic() >= next_report:
                    self._log_status()
                    self._save_backlog()
                    next_report = self._clock.monotonic() + _REPORT_INTERVAL
                self._clock.sleep(min(_POLL_INTERVAL, max(0.0, end - self._clock.monotonic())))
            self._app_log.write("INFO", "ended", rows_queued=self._rows_queued())

    def run_once(self, first: str, seconds: float) -> None:
        """Give each connector one turn, ``first`` before the others, in ``seconds`` altogether.

        Then delete what is past its retention time. A connector that another process sends for is skipped.
        """
        end = self._clock.monotonic() + seconds
        self._read_configuration()
        for name in sorted(self._connections, key=lambda name: (name != first, name)):
            if self._clock.monotonic() < end:
                self._turn(name, self._connections[name], end)
        self._save_backlog()
        self._clean_up()

    def _read_configuration(self) -> None:
        """The connectors, and whether this search head is in a cluster. Raises SplunkdRefused."""
        self._connections, member = self._configured(), self._member()
        if self._cluster.member != member:
            self._cluster = Cluster(self._store, member, self._clock)
            self._replicas.clear()

    def _outboxes(self, name: str, configured: Configured) -> Iterator[Outbox]:
        """Where the batches of a connector are sent from; what is queued for the cluster is promoted first.

        Raises OperatorError, and what a promotion raises.
        """
        own = Outbox(self._disk, self._clock, f"{self._root}/{outbox_name(configured.connection)}")
        if migrate_if_old(own):  # nobody has a shell here
            self._app_log.write("INFO", "migrated", connector=name)
        if goes_to_cluster(configured.outbox, own, self._cluster.member):
            self._promote(name, own)
            yield self._replica(own)
        else:
            yield own
            if self._cluster.member.in_cluster:  # what was promoted before is still sent
                yield self._replica(own)

    def _replica(self, own: Outbox) -> Replica:
        name = name_there(own)
        return self._replicas.setdefault(name, self._cluster.address.replica(name))

    def _promote(self, name: str, own: Outbox) -> None:
        """Move what this search head has queued to the cluster's outbox, and say what became of each run."""
        for run in Promotion(self._cluster.address, own).rest({CONTENT_TYPE: halves}):
            counts = {"rows": sum(run.sizes), "known": run.known, "refused": sum(run.refused.values())}
            self._app_log.write("INFO", "promoted", connector=name, run=run.run, **counts)
            self._left.pop(self._replica(own).path, None)  # it is sent at once

    def _turn(self, name: str, configured: Configured, end: float) -> None:
        try:
            outboxes = list(self._outboxes(name, configured))
            fine = [self._send_queued(name, configured.connection, outbox, end) for outbox in outboxes]
            if all(fine):
                self._clear_problem(name, outboxes)
        except OutboxBusy:
            return  # another member sends, or a person's command holds the lock for a moment
        except StoreAway as error:
            self._replicas.clear()  # what was read may have been taken back
            what = f"the cluster's outbox cannot be reached: {error.what}"
            self._problems.report(name, "WARN", "cluster-away", what=what, next_step=error.next_step)
        except IrmError as error:
            self._problems.report(name, "ERROR", "cannot-send", what=error.what, next_step=error.next_step)
        except OSError as error:
            what = f"the outbox cannot be read or written ({error.strerror})"
            self._problems.report(name, "ERROR", "cannot-send", what=what, next_step=_CHECK_DISK)
        except Exception as error:  # noqa: BLE001 - one connector's bug must not stop the others
            self._problems.report(name, "ERROR", "fault", what=type(error).__name__, where=place_of(error))

    def _send_queued(self, name: str, connection: Connection, outbox: Outbox, end: float) -> bool:
        """Send the queued batches, unless the last turn just left the same ones; whether all went well."""
        left, retry_at = self._left.get(outbox.path, ((), 0.0))
        now, shared = self._clock.monotonic(), not outbox.has_ledger
        if shared and now < retry_at:
            return False  # each look is a request to the store
        ready = self._ready(outbox)
        if ready and ready == left and now < retry_at:
            return False
        pause, report = _UNCHANGED_INTERVAL, Report()
        try:
            if ready:
                report = self._drain(name, connection, outbox, min(now + _TURN, end))
                ready = self._ready(outbox)
                if shared and ready:
                    wait = _CLUSTER_INTERVAL if report.due is None else report.due - self._clock.now()
                    pause = min(max(wait, pause), _CLUSTER_INTERVAL)
        finally:
            self._left[outbox.path] = (ready, self._clock.monotonic() + pause)
        return not report.trouble

    def _ready(self, outbox: Outbox) -> tuple[str, ...]:
        return tuple(outbox.ready_by_age())

    def _drain(self, name: str, connection: Connection, outbox: Outbox, until: float) -> Report:
        def log(event: str, batch: Batch, manifest: Manifest, detail: Mapping[str, Any]) -> None:
            if event == "start":
                return
            level = "INFO" if event == "sent" else "WARN"
            fields = log_fields(batch, manifest, detail, self._clock.now())
            self._app_log.write(level, event, connector=name, **fields)

        report = Sender(outbox, self._service(name, connection), listener=log).drain(until=until)
        if report.trouble:
            counts = {
                key: value for key, value in report.as_dict().items() if isinstance(value, int) and value
            }
            next_step = report.advice or advice(report.trouble)
            self._problems.report(name, "WARN", "waiting", code=report.trouble, next_step=next_step, **counts)
        return report

    def _clear_problem(self, name: str, outboxes: Iterable[Outbox]) -> None:
        """Take back a connector's problem, also one of an earlier process, once nothing needs a person."""
        if self._problems.is_clear(name) or self._needing_person(outboxes):
            return
        self._problems.clear(name)
        # The endpoint that a search calls may have held a batch meanwhile, and its message has just gone.
        for status in self._needing_person(outboxes):
            first = status.items[0] if status.items else status
            self._problems.report(name, "WARN", "waiting", code=first.reason, next_step=first.next_step)

    @staticmethod
    def _needing_person(outboxes: Iterable[Outbox]) -> list[ConnectorStatus]:
        found = [connector_status(outbox) for outbox in outboxes if outbox.exists()]
        return [status for status in found if status.needs_person]

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
            for outbox in self._all_outboxes():
                self._app_log.write("INFO", "status", **self._status(outbox))
        except (IrmError, OSError) as error:
            what = getattr(error, "what", type(error).__name__)
            self._app_log.write("WARN", "report-failed", what=what)

    def _all_outboxes(self) -> Iterator[Outbox]:
        """The outboxes of this search head, then those of its cluster. Raises StoreAway, StoreRefused."""
        yield from self._connectors.outboxes()
        yield from MemberConnectors(self._root, self._cluster).there()

    def _save_backlog(self) -> None:
        """Let the other members know what this one has not promoted."""
        cluster = self._cluster
        if not cluster.member.in_cluster:
            return
        try:
            cluster.save(cluster.backlog(self._connectors.outboxes()))
        except (IrmError, OSError) as error:
            what = getattr(error, "what", type(error).__name__)
            self._app_log.write("WARN", "report-failed", what=what)

    def _status(self, outbox: Outbox) -> dict[str, Any]:
        overview = connector_status(outbox)
        held = [item for item in overview.items if item.state == states.HELD]
        age = self._clock.now() - overview.oldest if overview.oldest else 0
        return {
            "connector": profile_of(outbox) or overview.name,
            "outbox": DIRECTORY if outbox.has_ledger else CLUSTER,
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

    def _report_orphans(self) -> None:
        """Report queued batches whose connector was removed, disabled or given another job."""
        names = {outbox_name(configured.connection) for configured in self._connections.values()}
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
        try:
            for outbox in self._all_outboxes():
                self._clean_up_outbox(outbox)
        except IrmError as error:
            self._app_log.write("WARN", "clean-up", what=error.what)

    def _clean_up_outbox(self, outbox: Outbox) -> None:
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
        member=lambda: this_member(splunkd),
        store=KvStore(splunkd, clock),
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
