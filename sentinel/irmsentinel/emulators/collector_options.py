"""The settings of the emulator of the services that the collector calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from irmsentinel.content.transforms import Transform


@dataclass
class Options:
    """What the emulator knows and how it behaves. A change takes effect with the next request.

    Attributes:
        tenant_id: The tenant whose audit log there is.
        app_id: The application that may sign in.
        rules: Each data collection rule's transformation, by the rule's immutable ID.
        page_size: Content blobs on a page of the list; the most alerts on a page, whatever $top says.
        next_page: The name of the header with the next page's address: the reference and the API use
            different ones.
        latency: Seconds that a content blob takes, or a page of alerts.
        per_minute: Requests that the API accepts in a minute.
        graph_per_minute: The same of Microsoft Graph, for its alerts.
        may_read_alerts: Whether the application has the permission SecurityAlert.Read.All.
        hunting_per_minute: Hunting queries that the tenant may run in a minute.
        hunting_rows: The most rows of an answer to one; further rows are missing without a sign.
        hunting_bytes: The most bytes of its rows.
        may_hunt: Whether the application has the permission ThreatHunting.Read.All.
        hunted: The tables that the identity sees.
        run_kql: Whether to run the transformation. Without it a row only gets TimeGenerated, which is faster.
        now: The services' clock, in seconds since 1970.
    """

    tenant_id: str
    app_id: str
    rules: Mapping[str, Transform]
    page_size: int = 200
    next_page: str = "NextPageUri"
    latency: float = 0.0
    per_minute: int = 1_000_000
    graph_per_minute: int = 150
    may_read_alerts: bool = True
    hunting_per_minute: int = 45
    hunting_rows: int = 100_000
    hunting_bytes: int = 50_000_000
    may_hunt: bool = True
    hunted: Collection[str] = ("DataSecurityBehaviors", "DataSecurityEvents")
    run_kql: bool = True
    now: Callable[[], float] = time.time
