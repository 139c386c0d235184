"""The collector's services with answers that each take a while, one emulator for each number of them.

argv: a directory; the seconds that a blob or a page of alerts takes; the source ("audit", "graph"); the
numbers of blobs or alerts, each perhaps with the size of a page, as NUMBER/SIZE. Each emulator gets a folder
named by its number, with settings that fit it. It ends with its standard input.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from irmsentinel.emulators.collector_options import Options
from irmsentinel.emulators.collector_services import CollectorServicesEmulator
from irmsentinel.emulators.collector_session import APP, TENANT, settings_text, transforms_by_rule
from irmsentinel.emulators.synthetic_records import alert_record, graph_alert

#: Blobs were created in the last so many seconds: a bit less than one window of the API.
SPREAD = 80_000


def main(directory: Path, seconds: float, source: str, counts: list[str]) -> None:
    """Serve until standard input ends."""
    options = Options(
        TENANT, APP, transforms_by_rule(), latency=seconds, run_kql=False, graph_per_minute=1_000_000
    )
    with ExitStack() as running:
        for text in counts:
            name, _, size = text.partition("/")
            count, place = int(name), directory / name
            fitting = replace(options, page_size=int(size or options.page_size))
            emulator = running.enter_context(CollectorServicesEmulator(fitting, place))
            for number in range(count):
                at = time.time() - SPREAD * (number + 1) / (count + 1)
                if source == "graph":
                    emulator.graph.put(graph_alert(number, 0, at, at))
                else:
                    emulator.feed.add(at, [alert_record(number, 0, at, TENANT)])
            (place / "collector.yaml").write_text(settings_text(), encoding="utf-8")
            emulator.announce()
        (directory / "ready").touch()
        sys.stdin.read()


main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4:])
