"""One round of the collector: collect, send, tell the health table; `irmexport sentinel collect` repeats it.

Rows are sent while collecting goes on, after each part that became durable; a workspace that is away stops no
collecting. The health rows of a round that failed are written as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from irmcore.clock import Clock
from irmcore.delivery.sender import Sender
from irmcore.disk import Disk
from irmcore.errors import IrmError, OutboxBusy
from irmcore.intake.commit import disk_error
from irmcore.operations.connectors import Connectors
from irmcore.operations.status import ConnectorStatus, connector_status
from irmcore.outbox import Origin, Outbox

from irmsentinel.azure import health_events as health
from irmsentinel.azure import ingestion
from irmsentinel.azure.health_events import Event
from irmsentinel.collector import cursor as feed_cursor
from irmsentinel.collector.collector import Collector, CollectResult
from irmsentinel.collector.http import PooledHttp
from irmsentinel.collector.management_api import Account, Feed
from irmsentinel.collector.rate_limit import RateLimiter
from irmsentinel.collector.settings import Collecting
from irmsentinel.content import artefacts as content
from irmsentinel.content import tables

#: Told after each stored part of a round: what was collected, how many rows were acknowledged.
RoundProgress = Callable[[CollectResult, int], None]


@dataclass(frozen=True)
class Round:
    """What a round came to; ``overview`` of the outbox after it, ``acknowledged`` in seconds since 1970."""

    collected: CollectResult
    acknowledged_rows: int
    acknowledged: int
    overview: ConnectorStatus


class CollectorService:
    """A collector with its outbox, its sender and its health rows."""

    def __init__(
        self,
        settings: Collecting,
        root: str,
        read: ingestion.Read,
        origin: Origin,
        *,
        disk: Disk,
        clock: Clock,
    ) -> None:
        """``root`` is the outbox directory; ``read`` gives the credential."""
        self.settings = settings
        self._clock = clock
        self._connectors = Connectors(disk, clock, root)
        self.outbox = Outbox(disk, clock, f"{root}/{settings.target.outbox_name}")
        self._health = (
            health.Writer(settings.health, root, read, origin, disk=disk, clock=clock)
            if settings.health
            else None
        )
        self._sender = Sender(self.outbox, ingestion.service(settings.target, read))
        limiter = RateLimiter(settings.requests_per_minute, clock)
        self.feed = feed(settings, read, limiter, clock)
        known = tables.shapes(tables.load(content.root() / "tables"))
        table = known["Compliance_IRM_AuditGeneral_CL"][""]
        self._collector = Collector(
            self.feed, limiter, self.outbox, settings.target, table.columns, settings.options, origin
        )
        self._last_success = 0.0

    def round(
        self, *, backfill: bool = False, progress: RoundProgress = lambda _collected, _rows: None
    ) -> Round:
        """Collect and send once. Raises what ``Collector.run`` raises, after the health rows were written.

        An error of the disk, wherever it comes, is an OutboxFull: who repeats rounds goes on after one.
        """
        try:
            return self._round(backfill=backfill, progress=progress)
        except OSError as error:
            raise disk_error(error, self.outbox.path, in_part=True) from error
        finally:
            self.feed.close()  # until the next round nobody needs its connections

    def _round(self, *, backfill: bool, progress: RoundProgress) -> Round:
        sent = 0

        def after_a_part(done: CollectResult) -> None:
            nonlocal sent
            sent += self._send()
            progress(done, sent)

        try:
            done = self._collector.run(backfill=backfill, progress=after_a_part)
        except IrmError as error:
            self._send()  # what waits from earlier rounds
            self.report(self._failed(error))
            raise
        sent += self._send()
        acknowledged = feed_cursor.acknowledged(self.outbox, feed_cursor.load(self.outbox))
        result = Round(done, sent, acknowledged, self.overview())
        if done.complete and not result.overview.queued and not result.overview.needs_person:
            self._last_success = self._clock.now()
        self.report(*self._events(result))
        return result

    def overview(self) -> ConnectorStatus:
        """How the outbox stands."""
        return connector_status(self.outbox)

    def report(self, *events: Event) -> ConnectorStatus | None:
        """Write health rows, with a heartbeat of every connector on this machine, and send them.

        How their outbox stands then; None if none are kept.
        """
        if self._health is None:
            return None
        self._health.report(*events, *health.heartbeats(self._connectors))
        return connector_status(self._health.outbox)

    def _send(self) -> int:
        """Send what waits; gives the rows that were acknowledged."""
        try:
            return self._sender.drain().rows_sent
        except OutboxBusy:
            return 0  # another process sends these too

    def _events(self, result: Round) -> list[Event]:
        done, overview = result.collected, result.overview
        name = self.settings.target.name
        held = sum(item.state in ("HELD", "DEAD", "QUARANTINED") for item in overview.items)
        if overview.needs_person:
            state = "held"
        else:
            state = "ok" if done.complete and not overview.queued else "waiting"
        common = Event(
            component="collector",
            name=name,
            event="heartbeat",
            result=state,
            reason=overview.reason or done.trouble or next((item.reason for item in overview.items), ""),
            rows=done.new,
            batches=overview.queued,
            held=held,
            failed=done.failed,
            oldest=overview.oldest,
            last_success=self._last_success,
            lag=max(self._clock.now() - result.acknowledged, 0.0) if result.acknowledged else None,
            details={
                "collected": done.collected,
                "fetched": done.fetched,
                "gone": done.gone,
                "cut": done.cut,
            },
        )
        events = [common]
        if done.new or done.failed:
            events.append(common.as_("run"))
        if held:
            events.append(common.as_("held"))
        events.extend(
            Event("collector", name, "gap", "failed", reason=gap.why, details=vars(gap)) for gap in done.gaps
        )
        return events

    def _failed(self, error: IrmError) -> Event:
        reason = error.where or type(error).__name__
        return Event("collector", self.settings.target.name, "failed", "failed", reason=reason[:100])


def feed(settings: Collecting, read: ingestion.Read, limiter: RateLimiter, clock: Clock) -> Feed:
    """The tenant's activity feed by these settings."""
    target = settings.target
    account = Account(settings.root, target.tenant_id, settings.publisher_id)
    http = PooledHttp(settings.options.connections, ca_file=target.ca_file, proxy=target.proxy)
    tokens = ingestion.tokens_for(target, f"{settings.root}/.default", read)
    return Feed(account, http, tokens, limiter=limiter, clock=clock)
