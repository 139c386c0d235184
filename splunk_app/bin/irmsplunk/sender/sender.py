"""Outbox → receipt on a search head: the connectors in turn, as the system user, for an hour at most.

A turn of a connector is bounded, so that one that hangs does not starve the others. What goes wrong
with one connector is logged and stops no other. The process may be killed at any moment: the outbox
is made for that.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from typing import Any, BinaryIO, Callable

from irmcore.advice import advice
from irmcore.clock import Clock, SystemClock
from irmcore.delivery import connection as connections
from irmcore.delivery.connection import Connection
from irmcore.delivery.sender import Sender, Service
from irmcore.disk import Disk, system_disk
from irmcore.errors import IrmError, OutboxBusy
from irmcore.http.credentials import Secret
from irmcore.operations import operations
from irmcore.operations.connectors import Connectors, profile_of
from irmcore.operations.status import connector_status
from irmcore.outbox import Batch, Manifest, Outbox, states

from irmsplunk.sender import modular_input
from irmsplunk.sender.bulletin import Bulletin
from irmsplunk.splunk import connectors
from irmsplunk.splunk import passwords as vault
from irmsplunk.splunk.heartbeat import Heartbeat
from irmsplunk.splunk.journal import Journal
from irmsplunk.splunk.next_steps import in_splunk
from irmsplunk.splunk.paths import Places
from irmsplunk.splunk.splunkd import Splunkd

#: Seconds between two looks at the outboxes, and between two readings of the configuration.
_LOOK = 1.0
_REREAD = 30.0
#: A connector's turn, and how often one that only waits is looked at.
_TURN = 20.0
#: How often the log says how each connector stands, for the dashboard.
_REPORT = 60.0
_AGAIN = 5.0
_RIGHTS = (
    "Look at the disk, and at the rights of the outbox folder: it is the user's that runs splunkd (0700)."
)


class Loop:
    """``connections`` reads the configuration, ``secret`` the secret of a connector."""

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        root: str,
        journal: Journal,
        *,
        configured: Callable[[], Mapping[str, Connection]],
        secret: Callable[[str], Secret],
        bulletin: Bulletin,
    ) -> None:
        self._disk = disk
        self._clock = clock
        self._root = root
        self._journal = journal
        self._configured = configured
        self._secret = secret
        self._bulletin = bulletin
        self._services: dict[str, tuple[Connection, Service]] = {}
        self._seen: dict[str, tuple[tuple[str, ...], float]] = {}
        self._told: dict[str, str] = {}
        self._cleared: set[str] = set()

    def run(self, life: float) -> None:
        """Send for ``life`` seconds."""
        end = self._clock.monotonic() + life
        reread = report = self._clock.monotonic()
        known: Mapping[str, Connection] = {}
        with Heartbeat(self._root, self._clock):
            self._journal.write("INFO", "started", life=life)
            self._clean_up()
            while self._clock.monotonic() < end:
                if self._clock.monotonic() >= reread:
                    known = self._configured()
                    self._tell_orphans(known)
                    reread = self._clock.monotonic() + _REREAD
                for name, connection in known.items():
                    self._turn(name, connection, end)
                if self._clock.monotonic() >= report:
                    self._report()
                    report = self._clock.monotonic() + _REPORT
                self._clock.sleep(min(_LOOK, max(0.0, end - self._clock.monotonic())))
            self._journal.write("INFO", "ended")

    def _turn(self, name: str, connection: Connection, end: float) -> None:
        outbox = Outbox(self._disk, self._clock, f"{self._root}/{connections.outbox_name(connection)}")
        try:
            self._look(name, connection, outbox, end)
        except OutboxBusy:
            return  # a person's command has the lock for a moment: the next look tries again
        except IrmError as error:
            self._tell(name, "ERROR", "cannot-send", what=error.what, next_step=error.next_step)
        except OSError as error:
            what = f"the outbox cannot be read or written ({error.strerror})"
            self._tell(name, "ERROR", "cannot-send", what=what, next_step=_RIGHTS)
        except Exception as error:  # noqa: BLE001 - one connector's fault must not stop the others
            at = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(at.filename)}:{at.lineno}"
            self._tell(name, "ERROR", "fault", what=type(error).__name__, where=place)

    def _look(self, name: str, connection: Connection, outbox: Outbox, end: float) -> None:
        """Send what waits, unless the same waited a moment ago."""
        ready = tuple(self._disk.names(f"{outbox.path}/ready"))
        before, again = self._seen.get(name, ((), 0.0))
        now = self._clock.monotonic()
        if not ready:
            self._be_quiet(name, outbox)
            return
        if ready == before and now < again:
            return
        try:
            self._drain(name, connection, outbox, min(now + _TURN, end))
        finally:
            self._seen[name] = (ready, self._clock.monotonic() + _AGAIN)
        self._seen[name] = (tuple(self._disk.names(f"{outbox.path}/ready")), self._clock.monotonic() + _AGAIN)

    def _drain(self, name: str, connection: Connection, outbox: Outbox, until: float) -> None:
        def listen(event: str, batch: Batch, manifest: Manifest, detail: Mapping[str, Any]) -> None:
            if event == "start":
                return
            # Never the reply's text: it may quote a row.
            kept = {key: detail[key] for key in ("code", "status", "request_id", "attempt") if key in detail}
            kept["seconds"] = round(max(0.0, self._clock.now() - manifest.accepted), 3)
            level = "INFO" if event == "sent" else "WARN"
            facts = {"connector": name, "run": manifest.run, "batch": batch.id[:12], "rows": manifest.rows}
            self._journal.write(level, event, **facts, **kept)

        report = Sender(outbox, self._service(name, connection), listener=listen).drain(until=until)
        if report.trouble:
            facts = {
                key: value for key, value in report.as_dict().items() if isinstance(value, int) and value
            }
            self._tell(
                name,
                "WARN",
                "waiting",
                code=report.trouble,
                next_step=report.advice or advice(report.trouble),
                **facts,
            )
        else:
            self._be_quiet(name, outbox)

    def _report(self) -> None:
        """Log how each connector that has an outbox stands: what waits, and what needs a person."""
        connectors = Connectors(self._disk, self._clock, self._root)
        try:
            for outbox in connectors.outboxes():
                self._journal.write("INFO", "standing", **_standing(connectors, outbox, self._clock.now()))
        except (IrmError, OSError) as error:
            self._journal.write("WARN", "report-failed", what=type(error).__name__)

    def _be_quiet(self, name: str, outbox: Outbox) -> None:
        """Take back what was said of a connector, also by an earlier run, once nothing needs a person."""
        if name not in self._told and name in self._cleared:
            return
        if outbox.exists() and connector_status(outbox).needs_person:
            return
        self._told.pop(name, None)
        self._cleared.add(name)
        self._bulletin.clear(name)

    def _service(self, name: str, connection: Connection) -> Service:
        """One service a configuration, so that its token serves until it expires."""
        before = self._services.get(name)
        if before is None or before[0] != connection:
            service = connections.service(connection, lambda: self._secret(name))
            before = self._services[name] = (connection, service)
        return before[1]

    def _tell(self, name: str, level: str, event: str, **fields: Any) -> None:
        """Log a trouble when it begins or changes, not at each look."""
        fields = {field: in_splunk(v) if isinstance(v, str) else v for field, v in fields.items()}
        key = f"{event} {fields.get('code') or fields.get('what')}"
        if self._told.get(name) != key:
            self._told[name] = key
            self._journal.write(level, event, connector=name, **fields)
            code = fields.get("code") or fields.get("what") or event
            self._bulletin.post(name, f"{code}. {fields.get('next_step') or ''}".strip())

    def _tell_orphans(self, known: Mapping[str, Connection]) -> None:
        """Say which outboxes have work and no connector (it was removed, disabled or got another job)."""
        names = {connections.outbox_name(connection) for connection in known.values()}
        for outbox in Connectors(self._disk, self._clock, self._root).outboxes():
            name = outbox.path.rsplit("/", 1)[1]
            if name in names:
                continue
            try:
                waiting = len(self._disk.names(f"{outbox.path}/ready"))
            except OSError as error:
                self._tell(name, "WARN", "no-connector", what=f"it cannot be read ({error.strerror})")
                continue
            if waiting:
                what = "batches wait here, but no connector sends them"
                self._tell(name, "WARN", "no-connector", what=what, batches=waiting)

    def _clean_up(self) -> None:
        try:
            payloads, batches = operations.clean_up(
                Connectors(self._disk, self._clock, self._root).outboxes()
            )
        except (IrmError, OSError) as error:
            self._journal.write("WARN", "clean-up-failed", what=type(error).__name__)
            return
        if payloads or batches:
            self._journal.write("INFO", "cleaned-up", payloads=payloads, batches=batches)


class Configuration:
    """The connectors that send. What is wrong with the others is logged when it is first seen."""

    def __init__(self, splunkd: Splunkd, journal: Journal) -> None:
        self._splunkd = splunkd
        self._journal = journal
        self._told: dict[str, str] = {}

    def read(self) -> dict[str, Connection]:
        """By name. Of two with the same job, which a file edited by hand may have, the first one sends."""
        stanzas = connectors.stanzas(self._splunkd)
        shared = connectors.sharing(stanzas)
        found: dict[str, Connection] = {}
        wrong: dict[str, str] = {}
        for name, content in sorted(stanzas.items()):
            first = min(shared.get(name, (name,)))
            if first < name:
                wrong[name] = (
                    f"the connector {first} has the same `job_id`, so both share one outbox: all rows go "
                    f"with the secret of {first}. Remove or disable one of them."
                )
                continue
            try:
                if not connectors.is_off(content):
                    found[name] = connectors.of_stanza(name, content).connection
            except IrmError as error:
                wrong[name] = in_splunk(str(error))
        for name, what in wrong.items():
            if self._told.get(name) != what:
                self._journal.write("ERROR", "wrong-connector", connector=name, what=what)
        self._told = wrong
        return found


def _standing(connectors: Connectors, outbox: Outbox, now: float) -> dict[str, Any]:
    overview = connector_status(outbox)
    held = [item for item in overview.items if item.state == states.HELD]
    return {
        "connector": profile_of(outbox) or overview.name,
        "mode": overview.mode,
        "reason": overview.reason,
        "queued": overview.queued,
        "rows_queued": overview.rows_queued,
        "oldest_seconds": round(max(0.0, now - overview.oldest)) if overview.oldest else 0,
        "held": len(held),
        "rows_held": sum(item.rows for item in held),
        "others": len(overview.items) - len(held),
    }


def serve(environment: Mapping[str, str], stdin: BinaryIO) -> int:
    """One run of the modular input; gives its exit code."""
    clock, places = SystemClock(), Places.of(environment)
    journal = Journal(places.logs, clock, "sender")
    try:
        start = modular_input.read_start(stdin)
        splunkd = Splunkd(start.uri, start.session_key)

        loop = Loop(
            system_disk(),
            clock,
            places.outbox_ready(),
            journal,
            configured=Configuration(splunkd, journal).read,
            secret=lambda name: vault.read(splunkd, name),
            bulletin=Bulletin(splunkd),
        )
        loop.run(start.life)
    except IrmError as error:
        # splunkd starts it again after the input's interval.
        journal.write("ERROR", "ended", what=in_splunk(str(error)))
        return 1
    return 0
