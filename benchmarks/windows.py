"""10,000 rows of one user in an hour, which has 3,600 times with a step of 1 s, beside as many users."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.intake.accept import accept
from irmcore.outbox import Destination, Origin, Outbox
from irmcore.profile import parse, shipped_text
from irmcore.shaping.readers import mappings_table

from benchmarks.rows import FIELDS, PROFILE, rows
from benchmarks.table import Line
from benchmarks.timing import race

ROWS = 10_000
_STEP = "policy: spread\n  step: 1s"


def measure(scratch: Path, *, rounds: int) -> Iterator[Line]:
    """CPU, as the syncs of both are the same."""
    found = race({name: partial(_run, scratch, name == "full") for name in ("full", "empty")}, rounds)
    yield Line(
        f"a run of {ROWS:,} rows of one user in one hour, step 1 s", "the same rows, each of another user",
        found.of["full"]["cpu"] / found.of["empty"]["cpu"], 1.5, 1.1,
        f"{found.of['full']['cpu'] * 1000:.0f} ms CPU", f"{found.of['empty']['cpu'] * 1000:.0f} ms CPU",
        least=False, details=dict(found.of),
    )  # fmt: skip


def _run(scratch: Path, full: bool) -> dict[str, float]:  # noqa: FBT001 - for partial
    profile = parse(shipped_text(PROFILE).replace("policy: spread", _STEP, 1), PROFILE)
    user, moment = (profile.column(role) for role in ("user", "time"))
    if user is None or moment is None:
        sys.exit("the profile has no user or no time")
    made = [dict(zip(FIELDS, row, strict=True)) for row in rows(ROWS, days=1)]
    for number, row in enumerate(made):
        row[user.field] = "anna@contoso.com" if full else f"u{number}@contoso.com"
        row[moment.field] = "2026-11-01T09:00:00Z"
    outbox = Outbox(PosixDisk(), SystemClock(), str(scratch / f"{time.monotonic_ns()}"))
    begin, cpu = time.perf_counter(), time.process_time()
    done = accept(
        mappings_table(iter(made), FIELDS),
        profile,
        outbox,
        Origin("bench", "here", "bench"),
        destination=Destination("bench", {"to": "nowhere"}, "hold"),
    )
    taken = {"wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    if done.counts.shaped != (3_600 if full else ROWS):
        sys.exit(f"the run was not what it should be: {done.counts}")
    return taken
