"""How fast the collector fetches blobs, from an emulator that takes 100 ms for each of them.

Measures `irmexport sentinel collect --once` as a whole, from its start until all rows are acknowledged. The
emulator is a process of its own. With one connection this would take minutes, so only a few blobs are fetched
and each further one counts as 100 ms, the least that it takes. The limit is 60,000 requests a minute: with
the default of 2,000 the quota would decide, whatever the number of connections.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from irmsentinel.collector.collector import Options

from benchmarks.table import Line
from benchmarks.timing import HERE, put_away, race, run_measured

SECONDS = 0.1
#: When fetching one by one, fetch one of this many blobs.
SHARE = 33


def measure(scratch: Path, *, blobs: int, rounds: int) -> Iterator[Line]:
    """The default number of connections, against one."""
    service = scratch / "tenants"
    few = max(blobs // SHARE, 20)
    command = [sys.executable, str(HERE / "peers" / "collector_services.py"), str(service), str(SECONDS)]
    with subprocess.Popen([*command, str(blobs), str(few)], stdin=subprocess.PIPE) as running:
        while not (service / "ready").exists():
            assert running.poll() is None
            time.sleep(0.05)
        found = race(
            {
                "many": partial(_collect, scratch, service, blobs, Options.connections),
                "one": partial(_collect, scratch, service, few, 1),
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


def _collect(scratch: Path, service: Path, blobs: int, connections: int) -> dict[str, float]:
    """One round into a new outbox, until all rows are acknowledged."""
    outbox, at = scratch / "outbox", service / str(blobs)
    put_away(outbox)
    settings = scratch / "collector.yaml"
    text = re.sub("(?m)^health_rule_id.*\n", "", (at / "collector.yaml").read_text(encoding="utf-8"))
    settings.write_text(f"{text}connections: {connections}\nrequests_per_minute: 60000\n", encoding="utf-8")
    program = str(Path(sys.executable).with_name("irmexport"))
    command = [program, "sentinel", "collect", "--once", "-s", str(settings), "--emulator", str(at)]
    taken = run_measured(command, scratch, environment=os.environ | {"IRMEXPORT_OUTBOX": str(outbox)})
    sent = outbox.glob("*/done/*/*/manifest.json")
    if sum(json.loads(manifest.read_bytes())["rows"] for manifest in sent) != blobs:
        sys.exit(f"the rows acknowledged are not those of {blobs} blobs")
    return taken
