"""An export from end to end: literal tables, the local engine or the real client over HTTPS, a connector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irmcli.emulator.connection import connection_to
from irmcli.emulator.launch import announce, create_emulator, job_of
from irmcli.output import Output
from irmcli.session.connector_session import ConnectorSession
from irmcli.settings import Settings
from irmcore import profile as profiles
from irmcore.profile import Profile
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import Options
from irmsentinel.content import aggregations, tables
from irmsentinel.content import artefacts as content
from irmsentinel.content.aggregations import Aggregation
from irmsentinel.emulators.query_api import Options as ApiOptions
from irmsentinel.emulators.query_api import QueryApiEmulator
from irmsentinel.export import sources
from irmsentinel.export.export import Export
from irmsentinel.export.outcome import Outcome
from irmsentinel.export.reader import Source
from irmsentinel.kql.engine import Engine
from irmsentinel.kql.result import Result

from tests.fakes.clock import FakeClock
from tests.sentinel.fixtures import plain

WORKSPACE = "00000000-0000-0000-0000-00000000c0de"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
Rows = Sequence[Mapping[str, Any]]
#: A query for what the aggregation `okta` gives of `okta` rows, a hundred times as fast on the local engine.
PLAIN = """OktaSystemLogs
| where TimeGenerated >= starttime and TimeGenerated < endtime
| summarize ActivityCount = count()
    by UserPrincipalName = ActorUsername, AggregationDate = bin(TimeGenerated, 1d)
| extend SourceWorkload = "Okta", Activity = "Created an API token"
| project UserPrincipalName, AggregationDate, SourceWorkload, Activity, ActivityCount
"""


def profile(name: str = "sentinel-activity") -> Profile:
    """A shipped profile."""
    return profiles.parse(profiles.shipped_text(name), f"{name}.yaml")


def okta(at: str, user: str = "sarad@contoso.com", event: str = "system.api_token.create") -> dict[str, str]:
    """An event that counts."""
    return {"TimeGenerated": at, "ActorUsername": user, "EventOriginalType": event, "EventResult": "Success"}


@contextmanager
def engine(given: Mapping[str, Rows]) -> Iterator[Engine]:
    """The local engine with these tables."""
    loaded = content.load()
    known = tables.shapes(tables.load(loaded.root / "tables"))
    with Engine(loaded.local_functions()) as running:
        for name, rows in given.items():
            table, _, shape = name.partition(".")
            running.insert(known[table][shape], [{k: plain(v) for k, v in row.items()} for row in rows])
        yield running


@contextmanager
def api(given: Mapping[str, Rows], directory: Path, *, max_rows: int = 500_000) -> Iterator[QueryApiEmulator]:
    """The emulator of the query API with these tables, announced in `directory`."""
    directory.mkdir(exist_ok=True)
    with (
        engine(given) as running,
        QueryApiEmulator(running, ApiOptions(WORKSPACE, NOW, max_rows=max_rows), directory) as there,
    ):
        there.announce()
        yield there


class Here:
    """An engine as a source."""

    label = "local"

    def __init__(self, running: Engine) -> None:
        self._engine = running

    def query(self, kql: str) -> Result:
        return self._engine.run(kql, now=NOW)


class Stage:
    """A connector at an emulator, and a session for it."""

    def __init__(self, directory: Path, *chosen: Profile, outbox: str = "outbox") -> None:
        self.directory = directory
        self._profiles = {made.name: made for made in chosen or (profile(),)}
        self.emulator: PurviewEmulator = create_emulator(
            directory / "emulator", self._profiles.values(), Options(), lifetime=600
        )
        self.settings = replace(Settings.read(str(directory / outbox)), environment={})

    @contextmanager
    def running(self) -> Iterator[Stage]:
        """With the emulator running."""
        self.emulator.start()
        announce(self.directory / "emulator", self.emulator)
        try:
            yield self
            assert self.emulator.failures == ()
        finally:
            self.emulator.stop()

    def session(self, name: str = "sentinel-activity") -> ConnectorSession:
        """The session of a profile's connector."""
        found = self._profiles[name]
        connection = connection_to(found, str(self.directory / "emulator"))
        return ConnectorSession(Output(as_json=True), self.settings, found, connection)

    def kept(self, name: str = "sentinel-activity") -> list[dict[str, str]]:
        """What the connector has stored, ordered by user and time."""
        job = job_of(self._profiles[name]).job_id
        rows = [dict(record.fields) for record in self.emulator.records(job)]
        return sorted(rows, key=lambda row: sorted(row.items()))

    def counts(self) -> list[tuple[str, str, int]]:
        """User, day and number of what the connector has stored."""
        rows = (
            (row["UserPrincipalName"], row["AggregationDate"][:10], int(row["ActivityCount"]))
            for row in self.kept()
        )
        return sorted(rows)


def export(
    source: Source,
    session: ConnectorSession,
    name: str = "okta",
    *,
    now: datetime = NOW,
    clock: FakeClock | None = None,
    **changes: Any,
) -> Outcome:
    """One run of an aggregation with other times."""
    aggregation: Aggregation = replace(aggregations.named(name), **changes)
    session.prepare()
    return Export(aggregation, source, session, clock=clock).run(now)


def workspace(directory: Path) -> Source:
    """The real client, connected to the emulator that runs with a directory."""
    return sources.emulated_workspace(directory)[0]
