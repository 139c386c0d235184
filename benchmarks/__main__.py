"""`make bench`: every promise about speed, measured beside a peer or a limit, in one run.

python -m benchmarks [--quick] [--only NAME] [--json FILE] [--into PAGE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import (
    cluster,
    collector,
    directory_sync,
    draining,
    exporting,
    files,
    identities,
    ledgers,
    outboxes,
    splunk,
    stores,
    thresholds,
    windows,
)
from benchmarks.table import Line, document, machine, markdown


@dataclass(frozen=True)
class Effort:
    """How much to measure: the ``share`` of the rows, and the number of rounds."""

    share: float
    rounds: int

    def rows(self, count: int) -> int:
        return int(count * self.share)


#: The lines of a page between which the table is written.
BEGIN, END = "<!-- table: make bench -->", "<!-- end -->"

FULL, QUICK = Effort(1.0, 5), Effort(0.1, 3)

#: In the order in which they run. Parts that create many files come last: for some minutes after files were
#: removed from a disk, each new file there costs more (README).
PARTS: Mapping[str, Callable[[Path, Effort], Iterator[Line]]] = {
    "files": lambda scratch, effort: files.measure(
        scratch, rows=effort.rows(1_000_000), rounds=effort.rounds
    ),
    "identities": lambda scratch, effort: identities.measure(
        scratch, rows=effort.rows(1_000_000), rounds=effort.rounds // 2
    ),
    "thresholds": lambda scratch, effort: thresholds.measure(
        scratch, people=effort.rows(5_000), rounds=effort.rounds // 2
    ),
    "drain": lambda scratch, effort: draining.measure(
        scratch, rows=effort.rows(100_000), rounds=effort.rounds
    ),
    "ledger": lambda scratch, effort: ledgers.measure(
        scratch, keys=effort.rows(10_000_000), rounds=effort.rounds
    ),
    "windows": lambda scratch, effort: windows.measure(scratch, rounds=effort.rounds),
    # A round of these takes 20 seconds, so there are fewer rounds.
    "collector": lambda scratch, effort: collector.measure(
        # Enough that the start of the program does not dominate.
        scratch,
        blobs=max(effort.rows(2_000), 600),
        rounds=effort.rounds // 2,
    ),
    "graph": lambda scratch, effort: collector.measure_graph(
        scratch, alerts=effort.rows(20_000), rounds=effort.rounds // 2
    ),
    "sentinel": lambda scratch, effort: exporting.measure(
        scratch, rows=effort.rows(500_000), rounds=effort.rounds // 2
    ),
    "sync": lambda scratch, effort: directory_sync.measure(
        scratch, people=effort.rows(100_000), rounds=effort.rounds // 2
    ),
    "outbox": lambda scratch, effort: outboxes.measure(
        scratch, batches=effort.rows(750), rounds=effort.rounds
    ),
    "store": lambda scratch, effort: stores.measure(
        scratch, batches=effort.rows(100), days=effort.rows(400), rounds=effort.rounds
    ),
    "splunk": lambda scratch, effort: splunk.measure(
        scratch, rows=effort.rows(200_000), rounds=effort.rounds
    ),
    "cluster": lambda scratch, effort: cluster.measure(
        scratch, rows=effort.rows(200_000), rounds=effort.rounds // 2
    ),
}


def main() -> None:
    """Measure, print, and write the files that were asked for."""
    ask = argparse.ArgumentParser(prog="python -m benchmarks")
    ask.add_argument(
        "--quick", action="store_true", help="fewer rows and rounds: for a first look, not to quote"
    )
    ask.add_argument("--only", choices=PARTS, action="append", help="only this part (may be repeated)")
    ask.add_argument("--json", type=Path)
    ask.add_argument("--into", type=Path, help="write the table into this page")
    asked = ask.parse_args()
    effort = QUICK if asked.quick else FULL
    on = machine()
    lines: list[Line] = []
    # In the tree, not under /tmp, which may be memory: what is synced must reach a disk.
    Path(".cache").mkdir(exist_ok=True)
    # One for all, so that little is removed before the end: that would slow down whatever creates files next.
    with tempfile.TemporaryDirectory(dir=".cache") as scratch:
        for name in asked.only or PARTS:
            (part := Path(scratch, name).absolute()).mkdir()
            for line in PARTS[name](part, effort):
                lines.append(line)
                print(" | ".join(line.cells()), file=sys.stderr, flush=True)
    table = markdown(lines, on, judged=not asked.quick)
    print(table)
    if asked.json:
        asked.json.write_text(json.dumps(document(lines, on), indent=1) + "\n")
    if asked.into:
        page = asked.into.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        asked.into.write_text(f"{before}{BEGIN}\n{table}{END}{after}")


if __name__ == "__main__":
    main()
