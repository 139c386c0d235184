"""Rows of few users in one hour, which has 3,600 times with a step of 1 s, beside as many users.

Once three users have exactly 3,600 rows each, so each row gets a place, the last ones only after many others
were tried. Once one user has 10,000 rows, so 6,400 are refused, which includes writing their reject file.
"""

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

#: By what becomes of them: rows, and the users that have them.
_FULL = {"all placed": (10_800, 3), "6,400 of them refused": (10_000, 1)}
_TIMES = 3_600
_STEP = "policy: spread\n  step: 1s"


def measure(scratch: Path, *, rounds: int) -> Iterator[Line]:
    """CPU, as the syncs of both are the same."""
    for outcome, (count, users) in _FULL.items():
        sides = {"few": users, "many": count}
        found = race({side: partial(_run, scratch, count, of) for side, of in sides.items()}, rounds).of
        yield Line(
            f"a run of {count:,} rows of {users} user{'s' * (users > 1)} in one hour, step 1 s, {outcome}",
            "the same rows, each of another user",
            found["few"]["cpu"] / found["many"]["cpu"], 1.5, 1.1,
            f"{found['few']['cpu'] * 1000:.0f} ms CPU", f"{found['many']['cpu'] * 1000:.0f} ms CPU",
            least=False, details=dict(found),
        )  # fmt: skip


def _run(scratch: Path, count: int, users: int) -> dict[str, float]:
    profile = parse(shipped_text(PROFILE).replace("policy: spread", _STEP, 1), PROFILE)
    user, moment = (profile.column(role) for role in ("user", "time"))
    if user is None or moment is None:
        sys.exit("the profile has no user or no time")
    made = [dict(zip(FIELDS, row, strict=True)) for row in rows(count, days=1)]
    for number, row in enumerate(made):
        row[user.field] = f"u{number % users}@contoso.com"
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
    if done.counts.shaped != min(count, users * _TIMES):
        sys.exit(f"the run was not what it should be: {done.counts}")
    return taken
