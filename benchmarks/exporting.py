"""A Sentinel export, from the query to durable rows in the outbox, beside Microsoft's client alone.

The service answers what was made beforehand, over real HTTPS, so that what is measured is who reads. Both ask
the same queries: two weeks, as an answer holds less than 500,000 rows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from irmcore.profile import shipped_text

from benchmarks.peers.query_service import WEEK, iso, span
from benchmarks.table import Line
from benchmarks.timing import HERE, put_away, race, run_measured

DAYS = 14
PROFILE = "sentinel-activity"
_UNFILLED = "00000000-0000-0000-0000-000000000000"
_FILLED = "00000000-0000-0000-0000-00000000be4c"


def measure(scratch: Path, *, rows: int, rounds: int) -> Iterator[Line]:
    """Measure time and memory."""
    service = scratch / "service"
    service.mkdir()
    command = [sys.executable, str(HERE / "peers" / "query_service.py"), str(service), str(rows), str(DAYS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as running:
        while not (service / "api.json").exists():
            assert running.poll() is None
            time.sleep(0.05)
        profile = scratch / "profile.yaml"
        profile.write_text(shipped_text(PROFILE).replace(_UNFILLED, _FILLED))
        found = race(
            {
                "ours": partial(_export, scratch, service, profile, rows),
                "client": partial(_read, scratch, service, rows),
            },
            rounds,
        )
    ours, client = found.of["ours"], found.of["client"]
    what = f"Sentinel export of {rows:,} rows, to durable in the outbox"
    yield Line(
        what, "LogsQueryClient reading them alone", ours["wall"] / client["wall"], 2, 1.3,
        f"{ours['wall']:.1f} s", f"{client['wall']:.1f} s", least=False, details=dict(found.of),
    )  # fmt: skip
    yield Line(
        f"{what}, most memory", "", ours["rss"], 300, 200,
        f"{ours['wall']:.1f} s", f"{client['rss']:.0f} MiB", unit=" MiB", least=False,
    )  # fmt: skip


def _export(scratch: Path, service: Path, profile: Path, rows: int) -> dict[str, float]:
    """One export into a new outbox."""
    outbox = scratch / "outbox"
    put_away(outbox)
    command = [
        *(str(Path(sys.executable).with_name("irmexport")), "sentinel", "export", "okta"),
        *("--query-emulator", str(service), "--profile", str(profile), "--queue-only"),
        *("--from", iso(0), "--to", iso(DAYS)),
    ]
    taken = run_measured(command, scratch, environment=os.environ | {"IRMEXPORT_OUTBOX": str(outbox)})
    lines = sum(payload.read_bytes().count(b"\n") - 1 for payload in outbox.glob("*/ready/*/payload"))
    if lines != rows:
        sys.exit(f"{lines} rows are in the outbox, not {rows}")
    return taken


def _read(scratch: Path, service: Path, rows: int) -> dict[str, float]:
    """The peer."""
    times = [time for start in range(0, DAYS, WEEK) for time in span(start, DAYS)]
    client = [sys.executable, str(HERE / "peers" / "query_client.py")]
    return run_measured([*client, str(service), str(rows), *times], scratch)
