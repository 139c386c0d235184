"""Four processes that accept and finish batches, beside the same number of bare fsyncs."""

from __future__ import annotations

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
    """Batches per second of four connectors at once, beside two limits with as many syncs.

    One makes, syncs and renames the files that a batch is and does nothing else; the other makes one file
    a batch and overwrites it between its syncs, so that it has the fewest names that there can be.
    """
    syncs = _syncs(scratch)
    found = race(
        {
            name: partial(_at_once, [sys.executable, str(HERE / "peers" / peer)], scratch, batches, syncs)
            for name, peer in {
                "ours": "outbox_batches.py",
                "same files": "raw_batches.py",
                "one file": "raw_files.py",
            }.items()
        },
        rounds,
    )
    total = batches * PROCESSES

    def speed(name: str) -> str:
        return f"{total / found.of[name]['wall']:.0f} batches/s"

    for name, limit in {
        "same files": f"the same files: write, fsync, rename and nothing else ({syncs} fsyncs a batch)",
        "one file": f"one file: write, fsync, rename, overwritten for as many fsyncs ({syncs})",
    }.items():
        yield Line(
            f"outbox, {BYTES // 1000} kB batches in and out, {PROCESSES} processes",
            limit, found.ratio("ours", name), 0.5, 0.8, speed("ours"), speed(name), details=dict(found.of),
        )  # fmt: skip


def _syncs(scratch: Path) -> int:
    """The number of syncs for a batch from staging to its receipt, as the outbox counts them."""
    count = [sys.executable, str(HERE / "peers" / "outbox_batches.py"), "--count", str(scratch / "counted")]
    return int(subprocess.run(count, check=True, capture_output=True, text=True).stdout)


def _at_once(command: list[str], scratch: Path, batches: int, syncs: int) -> dict[str, float]:
    """Start the processes, wait until all are ready, and let them begin together."""
    running = [
        subprocess.Popen(
            [*command, str(scratch / f"{time.monotonic_ns()}-{n}"), str(batches), str(syncs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for n in range(PROCESSES)
    ]
    for process in running:
        process.stdout.readline()  # type: ignore[union-attr]
    begin = time.perf_counter()
    for process in running:
        process.stdin.write(b"\n")  # type: ignore[union-attr]
        process.stdin.close()  # type: ignore[union-attr]
    codes = [process.wait() for process in running]
    if any(codes):
        sys.exit("a process of the outbox's benchmark failed")
    return {"wall": time.perf_counter() - begin}
