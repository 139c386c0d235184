"""The settings of the emulator of the services that the collector calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from irmsentinel.content.transforms import Transform


@dataclass
class Options:
    """What the emulator knows and how it behaves. A change takes effect with the next request.

    ``rules`` has each data collection rule's transformation, by the rule's immutable ID. ``page_size`` is the
    most content blobs or alerts on a page, whatever $top says; ``next_page`` the name of the header with the
    next page's address: the reference and the API use different ones. ``latency`` is in seconds, of a blob or
    of a page of alerts; ``…per_minute`` are the requests accepted. ``hunting_rows`` and ``hunting_bytes`` are
    the most of an answer to a hunting query: further rows are missing without a sign. ``hunted`` are the
    tables that the identity sees. Without ``run_kql`` a row only gets TimeGenerated, which is faster. ``now``
    is the services' clock, in seconds since 1970.
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
