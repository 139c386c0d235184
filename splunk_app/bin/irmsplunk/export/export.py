"""One export: the rows of a search into the outbox, then the status of their batches.

Nothing is written until the user's capability, the connector and the rows have been checked. Once rows are
queued, no later error undoes that.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Callable

from irmcore.clock import Clock
from irmcore.counts import Counts
from irmcore.errors import ConfigurationError, IrmError, TooManyRefused
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Outbox
from irmcore.profile import Profile

from irmsplunk.export.fields import with_fields
from irmsplunk.export.messages import WARN, choices, count_messages, status_message
from irmsplunk.export.queueing import RESULTS, connector_outbox, dry_run_rows, queue_rows, read_reject_file
from irmsplunk.export.run_status import RunStatus, wait_for_receipt
from irmsplunk.export.search import Search
from irmsplunk.export.spool import Spool
from irmsplunk.splunk import connectors, heartbeat
from irmsplunk.splunk.paths import Paths
from irmsplunk.splunk.splunkd import Splunkd, SplunkdRefused, current_user

CAPABILITY = "irmexport_run"
#: The endpoint that sends what is queued (restmap.conf), and the least seconds to wait for its reply.
SEND_PATH = "/services/send_irmexport"
_LEAST_WAIT = 2.0
#: Seconds between two questions about a run in the cluster's outbox.
_FOLLOW_INTERVAL = 1.0

#: Writes an event to the app's log: the event, its level, its fields.
Log = Callable[..., None]


@dataclass(frozen=True)
class ExportRequest:
    """What a search or an alert asks for. ``caller`` names it in messages; ``wait`` is in seconds.

    Without a ``profile``, the user's only connector is meant. A dry run keeps the first ``preview_rows``
    rows as they would go out.
    """

    caller: str
    profile: str
    fields: str = ""
    dry_run: bool = False
    wait: float = 30.0
    max_refused: int | None = None
    keep_rejects: bool = False
    preview_rows: int = 0


@dataclass(frozen=True)
class ExportResult:
    """What was accepted and what became of it. ``rejects`` and ``preview`` are CSV, if asked for."""

    connector: str
    accepted: RunResult
    rejects: bytes
    status: RunStatus
    messages: list[tuple[str, str]]
    preview: bytes = b""


class Export:
    """One run for one search."""

    def __init__(self, request: ExportRequest, search: Search, paths: Paths, clock: Clock, log: Log) -> None:
        self._request = request
        self._search = search
        self._paths = paths
        self._clock = clock
        self._log = log
        #: The connector's name, once it is known.
        self.connector = request.profile
        #: The reject file of a run that was refused as a whole, if it was asked for.
        self.rejects = b""

    def run(self, spool: Spool, details: Mapping[str, str]) -> ExportResult:
        """Shape, queue, wait and report. Raises IrmError or OSError if nothing was queued."""
        request = self._request
        user = self._authorize()
        connector = connectors.fetch(self._splunkd(), request.profile or self._only_connector())
        self.connector = connector.name
        header = spool.header(RESULTS)
        profile, own_names = with_fields(connector.profile, request.fields, header)
        if not header:
            return self._nothing()
        table = spool.table(profile.fields, RESULTS)
        outbox = connector_outbox(self._paths.outbox, connector.connection, self._clock)
        preview = b""
        if request.dry_run:
            accepted, rejects, preview = dry_run_rows(
                table, profile, outbox, keep_rejects=request.keep_rejects, keep_rows=request.preview_rows
            )
            status = RunStatus("dry run")
        else:
            _refuse_placeholders(profile)
            self._paths.create_outbox()
            chosen = [request.fields, *(f"{column}={field}" for column, field in own_names.items())]
            fields = {"fields": ", ".join(filter(None, chosen))} if any(chosen) else {}
            origin = self._search.origin(user, socket.gethostname(), {**fields, **details})
            try:
                accepted, rejects = queue_rows(
                    table,
                    profile,
                    outbox,
                    connector.connection,
                    origin,
                    max_refused=request.max_refused,
                    keep_rejects=request.keep_rejects,
                )
            except TooManyRefused as error:
                self.rejects = read_reject_file(outbox, error.where) if request.keep_rejects else b""
                raise
            self._log_counts(accepted, profile)
            accepted, status = self._wait(outbox, accepted)
        messages = choices(self.connector if not request.profile else "", own_names)
        messages += count_messages(accepted, profile.columns, dry_run=request.dry_run)
        if accepted.batches:
            alive = status.in_cluster or self._sender_alive()
            messages.append(status_message(status, sender_alive=alive, waited=request.wait))
            sender = "running" if alive else "not running"
            self._log("outcome", run=accepted.run, state=status.state, reason=status.reason, sender=sender)
        return ExportResult(self.connector, accepted, rejects, status, messages, preview)

    def _only_connector(self) -> str:
        """The name of the only connector that the user may use. Raises ConfigurationError."""
        names = connectors.usable(self._splunkd())
        if len(names) == 1:
            return names[0]
        if names:
            what, step = "you may use several connectors", f"Add `profile=` with one of: {', '.join(names)}."
        else:
            what, step = "there is no connector that you may use", "Ask an administrator to create one."
        raise ConfigurationError(what, where="profile", next_step=step)

    def _nothing(self) -> ExportResult:
        """A search without a result, which is a run too: splunkd may leave out even the header line."""
        dry_run = self._request.dry_run
        accepted = RunResult("", (), (), Counts(), {}, 0, None)
        if not dry_run:
            self._log("queued", run="", batches=0, counts=accepted.counts.as_dict())
        status = RunStatus("dry run" if dry_run else "nothing to send")
        messages = count_messages(accepted, (), dry_run=dry_run)
        return ExportResult(self.connector, accepted, b"", status, messages)

    def _splunkd(self) -> Splunkd:
        """Requests are made as the user who runs the search."""
        return Splunkd(self._search.splunkd_uri, self._search.session_key)

    def _authorize(self) -> str:
        """The user's name as splunkd reports it. Raises ConfigurationError without the capability."""
        user, capabilities = current_user(self._splunkd())
        if CAPABILITY not in capabilities:
            raise ConfigurationError(
                f"you do not have the capability {CAPABILITY}, so nothing was queued",
                where=self._request.caller,
                next_step="Ask an administrator to grant it to one of your roles.",
            )
        return user

    def _log_counts(self, accepted: RunResult, profile: Profile) -> None:
        spread = accepted.counts.shaped if profile.collisions.policy == "spread" else 0
        counts = {**accepted.counts.as_dict(), "spread": spread}
        self._log("queued", run=accepted.run, batches=len(accepted.batches), counts=counts)
        for (column, reason), count in accepted.reasons.items():
            self._log("refused", run=accepted.run, column=column, reason=reason, rows=count)

    def _wait(self, outbox: Outbox, accepted: RunResult) -> tuple[RunResult, RunStatus]:
        """The run and its status once it is final or the time is up; no error undoes that rows are queued.

        In a cluster, rows that another member had promoted are not among those of the run any more.
        """
        if not accepted.batches:
            return accepted, RunStatus("nothing to send")
        end = self._clock.monotonic() + self._request.wait
        reply: Mapping[str, Any] = {}
        if not self._sender_alive():
            reply = self._request_sending(accepted.run, max(self._request.wait, _LEAST_WAIT))
        try:
            status = wait_for_receipt(outbox, accepted, self._request.wait, self._sender_alive)
            if status.state == "promoted":
                return self._follow(outbox, accepted, reply, end)
        except (IrmError, OSError) as error:
            self._log("status-unreadable", level=WARN, error=type(error).__name__)
            return accepted, RunStatus("queued", queued=accepted.counts.shaped, reason="status-unreadable")
        if status.state == "queued":
            status = replace(_status_in(reply, status), queued=status.queued)
        return accepted, status

    def _follow(
        self, outbox: Outbox, accepted: RunResult, reply: Mapping[str, Any], end: float
    ) -> tuple[RunResult, RunStatus]:
        """The same for a run in the cluster's outbox, which only the system user may read."""
        # Imported here, as it loads what only a cluster needs.
        from irmcore.intake.promotion import result_there  # noqa: PLC0415
        from irmcore.operations.shared import result_of  # noqa: PLC0415

        promoted = result_there(outbox, accepted.run)
        result = result_of(accepted, promoted) if promoted is not None else accepted
        if not result.batches:
            return result, RunStatus("nothing to send")
        queued = RunStatus("queued", queued=result.counts.shaped)
        while True:
            status = replace(_status_in(reply, queued), in_cluster=True)
            left = end - self._clock.monotonic()
            if status.state != "queued" or left <= 0:
                return result, status
            if reply:
                self._clock.sleep(min(_FOLLOW_INTERVAL, left))
            reply = self._request_sending(accepted.run, max(left, _LEAST_WAIT))
            if not reply:
                end = 0.0  # it was refused, or took all the time

    def _request_sending(self, run: str, seconds: float) -> Mapping[str, Any]:
        """Ask the app's REST endpoint to send what is queued, as the system user, where no sender runs.

        Splunk Cloud may run a modular input on one search head only. In a cluster, the reply has the status
        of the run. The endpoint goes on after the timeout; the reply is empty then.
        """
        search = self._search
        try:
            splunkd = Splunkd(search.splunkd_uri, search.session_key, timeout=seconds)
            return splunkd.post(SEND_PATH, {"connector": self.connector, "run": run})
        except SplunkdRefused as refused:
            self._log("send-refused", level=WARN, status=refused.status, what=refused.what)
            return {}

    def _sender_alive(self) -> bool:
        return heartbeat.alive(self._paths.outbox, self._clock.now())


def _status_in(reply: Mapping[str, Any], otherwise: RunStatus) -> RunStatus:
    """The status of a run in a reply of the endpoint."""
    return RunStatus(**reply["status"]) if "status" in reply else otherwise


def _refuse_placeholders(profile: Profile) -> None:
    placeholders = profile.connector.placeholders()
    if placeholders:
        raise ConfigurationError(
            f"this connector has no {', '.join(f'`{key}`' for key in placeholders)} yet",
            where=profile.name,
            next_step="Ask an administrator to set it; dryrun=t works without it.",
        )
