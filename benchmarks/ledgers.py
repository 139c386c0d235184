"""A run of 10,000 rows where the row ledger has 10 million keys on disk, beside one where it has 10,000."""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.intake.accept import accept
from irmcore.intake.ledger.index import Ledger
from irmcore.outbox import Destination, Origin, Outbox
from irmcore.outbox.rowkeys import RowKey, pack
from irmcore.profile import parse, shipped_text
from irmcore.shaping.readers import mappings_table

from benchmarks.rows import FIELDS, PROFILE, rows
from benchmarks.table import Line
from benchmarks.timing import race

ROWS = 10_000
DATES = 400  # as long as batches stay on record
_DAY = 20_758  # 2026-11-01, the first date of the made-up rows


def measure(scratch: Path, *, keys: int, rounds: int) -> Iterator[Line]:
    """The rows of each run are on two dates, which already have their share of the keys."""
    outboxes = {name: _outbox(scratch / name, count) for name, count in (("many", keys), ("few", ROWS))}
    found = race({name: partial(_run, outbox) for name, outbox in outboxes.items()}, rounds)
    yield Line(
        f"a run of {ROWS:,} rows, {keys:,} keys on disk ({DATES} dates)", f"the same, {ROWS:,} keys on disk",
        found.of["many"]["wall"] / found.of["few"]["wall"], 2, 1.2,
        f"{found.of['many']['wall'] * 1000:.0f} ms", f"{found.of['few']['wall'] * 1000:.0f} ms",
        least=False, details=dict(found.of),
    )  # fmt: skip


def _outbox(path: Path, keys: int) -> Outbox:
    """An outbox whose ledger has this many keys, evenly distributed over the dates up to the run's own."""
    outbox = Outbox(PosixDisk(), SystemClock(), str(path))
    outbox.create()
    ledger = Ledger(outbox.disk, f"{path}/ledger", outbox.keyring)
    ledger.create()
    ledger.rebuild(list)
    for date in range(DATES):
        day = _DAY + 1 - date
        rows = (
            RowKey(secrets.randbits(64), secrets.token_bytes(24), day, b"8 bytes!")
            for _ in range(keys // DATES)
        )
        ledger.merge([pack(rows)])
    shutil.copytree(f"{path}/ledger", f"{path}.ledger")
    return outbox


def _run(outbox: Outbox) -> dict[str, float]:
    """Accept new rows of two dates, then restore the ledger."""
    table = mappings_table((dict(zip(FIELDS, row, strict=True)) for row in rows(ROWS, days=2)), FIELDS)
    origin, where = Origin("bench", "here", "bench"), Destination("bench", {"to": "nowhere"}, "hold")
    begin, cpu = time.perf_counter(), time.process_time()
    done = accept(table, parse(shipped_text(PROFILE), PROFILE), outbox, origin, destination=where)
    taken = {"wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    if done.counts.shaped != ROWS:
        sys.exit(f"the run was not what it should be: {done.counts}")
    for place in ("ledger", "ready"):
        shutil.rmtree(f"{outbox.path}/{place}")
    shutil.copytree(f"{outbox.path}.ledger", f"{outbox.path}/ledger")
    Path(outbox.path, "ready").mkdir()
    return taken
