"""How fast blobs come in: one connection against many, at a stand-in that takes 100 ms for each blob.

python benchmarks/collector.py [BLOBS [CONNECTIONS]]

One by one, a fifth of the blobs is fetched and the time multiplied. The governor is set to 60,000 requests a
minute: with the default of 2,000 it is the quota that decides, whatever the number of connections.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.outbox import Origin
from irmsentinel import collector_settings, rehearsal, synthetic
from irmsentinel.station import Station
from irmsentinel.tenant import Options, TenantStandIn

LATENCY = 0.1


def seconds(blobs: int, connections: int) -> float:
    """A first round of so many blobs, from the list to the acknowledgement of their rows."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "tenant"
        options = Options(rehearsal.TENANT, rehearsal.APP, rehearsal.rules(), latency=LATENCY)
        with TenantStandIn(options, directory) as tenant:
            for number in range(blobs):
                at = time.time() - 80_000 * (number + 1) / (blobs + 1)
                tenant.add(at, [synthetic.alert(number, 0, at, rehearsal.TENANT)])
            tenant.announce()
            plain = collector_settings.parse(rehearsal.settings_text(), "collector.yaml")
            settings = rehearsal.settings_at(plain, directory)
            settings = replace(
                settings,
                health=None,
                requests_per_minute=60_000,
                options=replace(settings.options, connections=connections),
            )
            outbox = Path(place) / "outbox"
            outbox.mkdir(mode=0o700)
            origin = Origin("benchmark", "here", "benchmark", {})
            station = Station(
                settings, str(outbox), rehearsal.secret, origin, disk=PosixDisk(), clock=SystemClock()
            )
            begin = time.perf_counter()
            done = station.round()
            took = time.perf_counter() - begin
            assert done.acknowledged_rows == blobs, done
            return took


def main() -> None:
    """Print both times."""
    blobs = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 24
    few = blobs // 5
    one = seconds(few, 1) * blobs / few
    many = seconds(blobs, connections)
    print(f"{blobs:,} blobs of {LATENCY * 1000:.0f} ms, from the list to acknowledged rows")
    print(f"  one by one      {one:8.1f} s (from {few:,} blobs)")
    print(f"  {connections:3} connections {many:8.1f} s, {one / many:.1f} times as fast")


if __name__ == "__main__":
    main()
