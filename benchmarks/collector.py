"""How fast the collector reads, from an emulator that takes 100 ms for each blob or page of alerts.

Measures `irmexport sentinel collect --once` as a whole, from its start until all rows are acknowledged. The
emulator is a process of its own. One by one this would take minutes, so only a few blobs or alerts are
fetched and each further one counts as 100 ms, the least that it takes. The limit is 60,000 requests a minute:
with the defaults the quotas would decide, whatever the collector does.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from irmsentinel.collector.collector import Options

from benchmarks.table import Line
from benchmarks.timing import HERE, put_away, race, run_measured

SECONDS = 0.1
#: When fetching one by one, fetch one of this many blobs.
SHARE = 33
LIMITS = "requests_per_minute: 60000\ngraph_requests_per_minute: 60000\n"


def measure(scratch: Path, *, blobs: int, rounds: int) -> Iterator[Line]:
    """The default number of connections, against one."""
    service = scratch / "tenants"
    few = max(blobs // SHARE, 20)
    with _services(service, "audit", blobs, few):
        found = race(
            {
                "many": partial(_collect, scratch, service, blobs, f"connections: {Options.connections}"),
                "one": partial(_collect, scratch, service, few, "connections: 1"),
            },
            rounds,
        )
    many = found.of["many"]["wall"]
    one = found.of["one"]["wall"] + SECONDS * (blobs - few)
    yield Line(
        f"collector, {blobs:,} blobs × {SECONDS * 1000:.0f} ms, {Options.connections} connections",
        f"one by one (extrapolated: {few} blobs in {found.of['one']['wall']:.1f} s, "
        f"{SECONDS * 1000:.0f} ms for each further one)",
        one / many, 10, 20, f"{many:.1f} s", f"{one:.0f} s", details=dict(found.of),
    )  # fmt: skip


def measure_graph(scratch: Path, *, alerts: int, rounds: int) -> Iterator[Line]:
    """Alerts of Microsoft Graph by pages, against one a request."""
    service = scratch / "graph"
    few = max(alerts // (10 * SHARE), 20)
    with _services(service, "graph", alerts, f"{few}/1"):
        found = race(
            {
                "pages": partial(_collect, scratch, service, alerts, "source: graph"),
                "one": partial(_collect, scratch, service, few, "source: graph"),
            },
            rounds,
        )
    pages = found.of["pages"]["wall"]
    one = found.of["one"]["wall"] + SECONDS * (alerts - few)
    yield Line(
        f"collector, {alerts:,} alerts of Microsoft Graph, {SECONDS * 1000:.0f} ms a page",
        f"one by one (extrapolated: {few} alerts in {found.of['one']['wall']:.1f} s, "
        f"{SECONDS * 1000:.0f} ms for each further one)",
        one / pages, 20, 30, f"{pages:.1f} s", f"{one:.0f} s", details=dict(found.of),
    )  # fmt: skip


@contextmanager
def _services(service: Path, source: str, *counts: int | str) -> Iterator[None]:
    """The emulators of these numbers, once they have all answers."""
    program = [sys.executable, str(HERE / "peers" / "collector_services.py")]
    command = [*program, str(service), str(SECONDS), source, *map(str, counts)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as running:
        while not (service / "ready").exists():
            assert running.poll() is None
            time.sleep(0.05)
        yield


def _collect(scratch: Path, service: Path, rows: int, setting: str) -> dict[str, float]:
    """One round into a new outbox, until all rows are acknowledged."""
    outbox, at = scratch / "outbox", service / str(rows)
    put_away(outbox)
    settings = scratch / "collector.yaml"
    text = re.sub("(?m)^health_rule_id.*\n", "", (at / "collector.yaml").read_text(encoding="utf-8"))
    settings.write_text(f"{text}{setting}\n{LIMITS}", encoding="utf-8")
    program = str(Path(sys.executable).with_name("irmexport"))
    command = [program, "sentinel", "collect", "--once", "-s", str(settings), "--emulator", str(at)]
    taken = run_measured(command, scratch, environment=os.environ | {"IRMEXPORT_OUTBOX": str(outbox)})
    sent = outbox.glob("*/done/*/*/manifest.json")
    if sum(json.loads(manifest.read_bytes())["rows"] for manifest in sent) != rows:
        sys.exit(f"the rows acknowledged are not {rows}")
    return taken
