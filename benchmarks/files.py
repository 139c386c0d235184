"""`irmexport send --dry-run` of a large file, beside csv.reader → csv.writer of the same file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.rows import PROFILE, write_csv
from benchmarks.table import Line
from benchmarks.timing import HERE, race, run_measured


def measure(scratch: Path, *, rows: int, rounds: int) -> Iterator[Line]:
    """Measure speed and memory."""
    file = write_csv(scratch / "rows.csv", rows)
    found = race({"ours": partial(dry_run, file, scratch), "csv": partial(csv_copy, file, scratch)}, rounds)
    ours, limit = found.of["ours"], found.of["csv"]
    what = f"`irmexport send --dry-run`, {rows:,} rows"
    shown = f"{ours['wall']:.2f} s, {rows / ours['wall'] / 1000:.0f} k rows/s"
    yield Line(
        what, "csv.reader → csv.writer of the file", found.ratio("ours", "csv"), 0.4, 0.7, shown,
        f"{limit['wall']:.2f} s", details=dict(found.of),
    )  # fmt: skip
    together = dry_run(file, scratch, watched=True)["pss"]
    yield Line(
        f"{what}, most memory of a process", "", ours["rss"], 160, 100,
        f"{ours['rss']:.0f} MiB; with its workers {together:.0f} MiB", f"{limit['rss']:.0f} MiB",
        unit=" MiB", least=False,
    )  # fmt: skip


def dry_run(file: Path, scratch: Path, *, watched: bool = False) -> dict[str, float]:
    """One run without an outbox, in the Python that runs this."""
    program = Path(sys.executable).with_name("irmexport")
    environment = os.environ | {"IRMEXPORT_OUTBOX": str(scratch / "outbox")}
    command = [str(program), "send", str(file), "--profile", PROFILE, "--dry-run"]
    return run_measured(command, scratch, environment=environment, watched=watched)


def csv_copy(file: Path, scratch: Path) -> dict[str, float]:
    """The limit."""
    command = [sys.executable, str(HERE / "peers" / "csv_file.py"), str(file), str(scratch / "copy.csv")]
    return run_measured(command, scratch)
