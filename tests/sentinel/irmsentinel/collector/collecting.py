"""A collector and the emulated services it calls: real HTTPS, real MSAL, Microsoft's client, a fake clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irmcore.disk import PosixDisk
from irmcore.outbox import Origin
from irmsentinel.collector import settings as collector_settings
from irmsentinel.collector.management_api import Feed
from irmsentinel.collector.rate_limit import RateLimiter
from irmsentinel.collector.service import CollectorService, feed
from irmsentinel.collector.settings import CollectorSettings
from irmsentinel.content import artefacts as content
from irmsentinel.content import tables
from irmsentinel.emulators.collector_options import Options
from irmsentinel.emulators.collector_services import CollectorServicesEmulator
from irmsentinel.emulators.collector_session import (
    APP,
    TENANT,
    read_secret,
    settings_text,
    transforms_by_rule,
    use_emulator,
)
from irmsentinel.emulators.synthetic_records import alert_record, graph_alert
from irmsentinel.kql import calls
from irmsentinel.kql.engine import Engine

from tests.fakes.clock import FakeClock

HOUR = 3600
DAY = 24 * HOUR
NOW = 1_795_262_400.0  # 2026-11-21T12:00:00Z
TABLE = "Compliance_IRM_AuditGeneral_CL"
ORIGIN = Origin("tester", "here", "tests", {})


class Rig:
    """An emulator and collectors that use it. ``alert`` makes a blob with one synthetic alert."""

    def __init__(
        self, directory: Path, *, subscribed: bool = True, source: str = "audit", **options: Any
    ) -> None:
        self.source = source
        self.clock = FakeClock(NOW)
        known = Options(TENANT, APP, transforms_by_rule(), now=self.clock.now)
        self.emulator = CollectorServicesEmulator(
            replace(known, **options), directory / "tenant", subscribed=subscribed
        )
        self.root = directory / "outbox"
        self.root.mkdir(mode=0o700)
        self._numbers = itertools.count()

    def settings(self, **given: Any) -> CollectorSettings:
        """Settings that lead to the emulator; ``given`` are of Options, or requests_per_minute."""
        self.emulator.announce()
        every = collector_settings.parse(settings_text(), "collector.yaml", "all")
        (plain,) = (one for one in every if one.source == self.source)
        here = use_emulator(plain, self.emulator.directory)
        if "requests_per_minute" in given:
            here = replace(here, requests_per_minute=given.pop("requests_per_minute"))
        return replace(here, options=replace(here.options, **{"connections": 8, **given}))

    def feed(self, change: Callable[[CollectorSettings], CollectorSettings] = lambda same: same) -> Feed:
        """The client without a collector."""
        settings = change(self.settings())
        return feed(settings, read_secret, RateLimiter(settings.requests_per_minute, self.clock), self.clock)

    def collector_service(
        self, change: Callable[[CollectorSettings], CollectorSettings] = lambda same: same, **given: Any
    ) -> CollectorService:
        """A collector with its sender; ``change`` alters its settings, ``given`` as in ``settings``."""
        return CollectorService(
            change(self.settings(**given)),
            str(self.root),
            read_secret,
            ORIGIN,
            disk=PosixDisk(),
            clock=self.clock,
        )

    def alert(self, ago: float, number: int | None = None, version: int = 0) -> dict[str, Any]:
        """Make a blob with one new alert available since ``ago`` seconds; returns the record."""
        at = self.clock.now() - ago
        number = next(self._numbers) if number is None else number
        record = alert_record(number, version, at - 600, TENANT)
        self.emulator.feed.add(at, [record])
        return record

    def graph_alert(self, ago: float, number: int, version: int = 0) -> tuple[str, str]:
        """Make a version of an alert that Graph has since ``ago`` seconds; returns its id and time."""
        at = self.emulator.options.now() - ago
        alert = graph_alert(number, version, at - version * HOUR, at)
        self.emulator.graph.put(alert)
        return alert["id"], alert["lastUpdateDateTime"]

    def versions(self) -> list[tuple[str, str]]:
        """Id and time of the rows of IRMAlertsGraph_CL, sorted; the time as Graph writes it."""
        rows = self.emulator.ingestion.rows["IRMAlertsGraph_CL"]
        return sorted((row["AlertId"], graph_time(row["LastUpdateDateTime"])) for row in rows)

    def ids(self) -> list[str]:
        """The record IDs of the table's rows, sorted."""
        return sorted(row["RecordId"] for row in self.emulator.ingestion.rows[TABLE])

    def health(self) -> list[tuple[str, str, str]]:
        """Event, result and reason of all health rows."""
        rows = self.emulator.ingestion.rows["IRMExportHealth_CL"]
        return [(row["Event"], row["Result"], row.get("Reason", "")) for row in rows]

    def alerts(self) -> list[tuple[str, int]]:
        """The result of IRMAlerts on the table: alert ID and number of updates."""
        loaded = content.load()
        known = tables.shapes(tables.load(loaded.root / "tables"))
        with Engine(loaded.local_functions()) as engine:
            engine.insert(known[TABLE][""], self.emulator.ingestion.rows[TABLE])
            kql = calls.text(loaded.named("IRMAlerts"), {"starttime": "ago(60d)"})
            now = datetime.fromtimestamp(self.clock.now() + 60, UTC)
            result = engine.run(kql, now=now)
        at = [[c.name for c in result.columns].index(name) for name in ("AlertId", "UpdateCount")]
        return sorted((row[at[0]], row[at[1]]) for row in result.rows)


def graph_time(text: str) -> str:
    """A time of a table's row with seven digits after the second, as Graph writes it."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
