"""The outbox under four processes that put batches in and out, beside as many bare fsyncs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.table import Line
from benchmarks.timing import HERE, race

PROCESSES = 4
BYTES = 10_000


def measure(scratch: Path, *, batches: int, rounds: int) -> Iterator[Line]:
    """Batches a second of four connectors at once; the limit writes, syncs and renames as often."""
    syncs = _syncs(scratch)
    ours = [sys.executable, str(HERE / "peers" / "outbox_batches.py")]
    raw = [sys.executable, str(HERE / "peers" / "raw_files.py")]
    found = race(
        {
            "ours": partial(_at_once, ours, scratch, batches, 0),
            "raw": partial(_at_once, raw, scratch, batches, syncs),
        },
        rounds,
    )
    total = batches * PROCESSES

    def speed(name: str) -> str:
        return f"{total / found.of[name]['wall']:.0f} batches/s"

    yield Line(
        f"outbox, {BYTES // 1000} kB batches in and out, {PROCESSES} processes",
        f"write, fsync, rename with as many fsyncs ({syncs} a batch)",
        found.ratio("ours", "raw"), 0.5, 0.8, speed("ours"), speed("raw"), details=dict(found.of),
    )  # fmt: skip


def _syncs(scratch: Path) -> int:
    """How many times a batch is synced from staging to its receipt, as the outbox says itself."""
    count = [sys.executable, str(HERE / "peers" / "outbox_batches.py"), "--count", str(scratch / "counted")]
    return int(subprocess.run(count, check=True, capture_output=True, text=True).stdout)


def _at_once(command: list[str], scratch: Path, batches: int, syncs: int) -> dict[str, float]:
    begin, before = time.perf_counter(), os.times()
    running = [
        subprocess.Popen([*command, str(scratch / f"{time.monotonic_ns()}-{n}"), str(batches), str(syncs)])
        for n in range(PROCESSES)
    ]
    codes = [process.wait() for process in running]
    if any(codes):
        sys.exit("a process of the outbox's benchmark failed")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": time.perf_counter() - begin, "cpu": cpu}
