"""The collector's services with blobs that each take a while, one emulator for each number of blobs.

argv: a directory; the seconds that a blob takes; the numbers. Each emulator gets a folder named by its
number, with settings that fit it. It ends with its standard input.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path

from irmsentinel.emulators.collector_options import Options
from irmsentinel.emulators.collector_services import CollectorServicesEmulator
from irmsentinel.emulators.collector_session import APP, TENANT, settings_text, transforms_by_rule
from irmsentinel.emulators.synthetic_records import alert_record

#: Blobs were created in the last so many seconds: a bit less than one window of the API.
SPREAD = 80_000


def main(directory: Path, seconds: float, counts: list[int]) -> None:
    """Serve until standard input ends."""
    options = Options(TENANT, APP, transforms_by_rule(), latency=seconds, run_kql=False)
    with ExitStack() as running:
        for count in counts:
            place = directory / str(count)
            emulator = running.enter_context(CollectorServicesEmulator(options, place))
            for number in range(count):
                at = time.time() - SPREAD * (number + 1) / (count + 1)
                emulator.feed.add(at, [alert_record(number, 0, at, TENANT)])
            (place / "collector.yaml").write_text(settings_text(), encoding="utf-8")
            emulator.announce()
        (directory / "ready").touch()
        sys.stdin.read()


main(Path(sys.argv[1]), float(sys.argv[2]), list(map(int, sys.argv[3:])))
