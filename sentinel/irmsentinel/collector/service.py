"""The collector service: collect, send, report health. `irmexport sentinel collect` repeats its rounds.

Rows are sent while collecting goes on, after each part that became durable. If the workspace is unavailable,
collecting goes on. A round that failed is reported to the health table too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from irmcore.clock import Clock
from irmcore.delivery.sender import Sender
from irmcore.disk import Disk
from irmcore.errors import IrmError, OutboxBusy
from irmcore.intake.commit import disk_error
from irmcore.operations.connectors import Connectors
from irmcore.operations.status import ConnectorStatus, connector_status
from irmcore.outbox import Origin, Outbox

from irmsentinel.azure import graph_client, ingestion
from irmsentinel.azure.bounded_transport import Network
from irmsentinel.azure.graph_client import GraphClient
from irmsentinel.azure.health_events import Event, HealthWriter, heartbeats
from irmsentinel.azure.ingestion import ReadCredential
from irmsentinel.collector import activities, cursor, graph_alerts, records, rounds
from irmsentinel.collector.activities import Activities
from irmsentinel.collector.api_client import Account, ApiClient
from irmsentinel.collector.blobs import Source
from irmsentinel.collector.collector import Collector
from irmsentinel.collector.graph_alerts import GraphAlerts
from irmsentinel.collector.http import PooledHttp
from irmsentinel.collector.management_api import Feed
from irmsentinel.collector.rate_limit import RateLimiter
from irmsentinel.collector.records import Row
from irmsentinel.collector.result import CollectResult
from irmsentinel.collector.rounds import Round, RoundProgress
from irmsentinel.collector.settings import TABLES, CollectorSettings
from irmsentinel.collector.spool import Spool
from irmsentinel.content import artefacts, tables


class CollectorService:
    """A collector with its outbox, its sender and its health rows."""

    def __init__(
        self,
        settings: CollectorSettings,
        root: str,
        read: ReadCredential,
        origin: Origin,
        *,
        disk: Disk,
        clock: Clock,
        connectors: Connectors | None = None,
        spool: Callable[[Outbox], Spool] | None = None,
    ) -> None:
        """``root`` is the outbox directory; ``read`` reads the credential.

        If machines share the outbox, ``connectors`` has all of it, and ``spool`` leads there.
        """
        self.settings = settings
        self._clock = clock
        self._connectors = connectors or Connectors(disk, clock, root)
        own = Outbox(disk, clock, f"{root}/{settings.target.outbox_name}")
        self._spool = spool(own) if spool else Spool(own, own)
        self.outbox = self._spool.outbox
        self._health = (
            HealthWriter(settings.health, root, read, origin, disk=disk, clock=clock)
            if settings.health
            else None
        )
        self._sender = Sender(self.outbox, ingestion.service(settings.target, read))
        limiter = RateLimiter(settings.requests_per_minute, clock)
        known = tables.shapes(tables.load(artefacts.root() / "tables"))
        columns = known[TABLES[settings.source]][""].columns
        self.feed: Source
        if settings.source == "graph":
            self.feed = graph(settings, read, limiter, clock)

            def to_rows(found: list[Any]) -> list[Row]:
                return [graph_alerts.row(alert, columns) for alert in found]
        elif settings.source == "audit":
            self.feed = feed(settings, read, limiter, clock)

            def to_rows(found: list[Any]) -> list[Row]:
                return [
                    records.row(record, columns) for record in filter(settings.options.filter.accepts, found)
                ]
        else:
            limits = {"deadline": activities.DEADLINE, "max_bytes": activities.MAX_BYTES}
            client = _client(settings, read, clock, **limits)
            table = TABLES[settings.source].removeprefix("IRM").removesuffix("_CL")
            self.feed = Activities(client, limiter, table)

            def to_rows(found: list[Any]) -> list[Row]:
                return [activities.row(one, columns) for one in found]

        self._collector = Collector(
            self.feed, limiter, self._spool, settings.target, to_rows, settings.options, origin
        )
        self._last_success = 0.0

    def round(
        self, *, backfill: bool = False, progress: RoundProgress = lambda _collected, _rows: None
    ) -> Round:
        """Collect and send once. Raises what ``Collector.run`` raises, after writing the health rows.

        Every disk error becomes an OutboxFull, so that a loop over rounds can go on after it.
        """
        try:
            return self._round(backfill=backfill, progress=progress)
        except OSError as error:
            raise disk_error(error, self.outbox.path, in_part=True) from error
        finally:
            self.feed.close()  # not needed until the next round

    def _round(self, *, backfill: bool, progress: RoundProgress) -> Round:
        sent = 0

        def after_part(done: CollectResult) -> None:
            nonlocal sent
            sent += self._send()
            progress(done, sent)

        name = self.settings.target.name
        try:
            done = self._collector.run(backfill=backfill, progress=after_part)
        except IrmError as error:
            self._send()  # rows of earlier rounds
            self.report(rounds.failed(error, name))
            raise
        sent += self._send()
        acknowledged = cursor.acknowledged(self.outbox, cursor.load(self.outbox))
        result = Round(done, sent, acknowledged, self.overview())
        now = self._clock.now()
        if result.succeeded:
            self._last_success = now
        self.report(*rounds.events(result, name, now=now, last_success=self._last_success))
        return result

    def overview(self) -> ConnectorStatus:
        """The status of the outbox."""
        return connector_status(self.outbox)

    def report(self, *events: Event) -> ConnectorStatus | None:
        """Write health rows, with a heartbeat of every connector on this machine, and send them.

        Returns the status of their outbox; None if the settings name no health table.
        """
        if self._health is None:
            return None
        self._health.report(*events, *heartbeats(self._connectors))
        return connector_status(self._health.outbox)

    def _send(self) -> int:
        """Send what is queued. Returns the number of rows that the workspace acknowledged."""
        try:
            return self._sender.drain().rows_sent
        except OutboxBusy:
            return 0  # another process is sending these rows


def feed(settings: CollectorSettings, read: ReadCredential, limiter: RateLimiter, clock: Clock) -> Feed:
    """The tenant's activity feed, as the settings describe it."""
    target = settings.target
    account = Account(settings.root, target.tenant_id, settings.publisher_id)
    http = PooledHttp(settings.options.connections, ca_file=target.ca_file, proxy=target.proxy)
    tokens = ingestion.tokens_for(target, f"{settings.root}/.default", read)
    return Feed(ApiClient(account, http, tokens, limiter=limiter, clock=clock))


def graph(
    settings: CollectorSettings, read: ReadCredential, limiter: RateLimiter, clock: Clock
) -> GraphAlerts:
    """The tenant's IRM alerts in Microsoft Graph, as the settings describe it."""
    return GraphAlerts(_client(settings, read, clock), limiter)


def _client(settings: CollectorSettings, read: ReadCredential, clock: Clock, **limits: Any) -> GraphClient:
    target = settings.target
    tokens = ingestion.tokens_for(target, f"{graph_client.HOSTS[target.cloud]}/.default", read)
    network = Network(target.proxy, target.ca_file)
    return GraphClient(settings.root, graph_alerts.credential(tokens), network, clock=clock, **limits)
