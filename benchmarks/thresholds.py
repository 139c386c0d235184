"""`irmexport thresholds` on a year of 5,000 people and 10 indicators, beside a copy of the file by csv.

Of the 18 million days of a person and an indicator, one in 20 has a row. Half of the people have none or one
in a month, and values are mostly small.
"""

from __future__ import annotations

import csv
import datetime
import os
import random
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from irmcore.profile import parse, shipped_text

from benchmarks.files import csv_copy
from benchmarks.table import Line
from benchmarks.timing import race, run_measured

PROFILE = "daily-activities"
_FIRST = datetime.date(2025, 11, 1)
_ACTIVE = 0.05


def measure(scratch: Path, *, people: int, rounds: int) -> Iterator[Line]:
    """Measure time and memory."""
    file = scratch / "year.csv"
    rows = write_year(file, people)
    found = race(
        {"ours": partial(_thresholds, file, scratch), "csv": partial(csv_copy, file, scratch)}, rounds
    )
    ours, limit = found.of["ours"], found.of["csv"]
    what = f"`irmexport thresholds`, a year of {people:,} people and 10 indicators ({rows:,} rows)"
    yield Line(
        what, "", ours["wall"], 10, 5, f"{ours['wall']:.1f} s, {ours['cpu']:.1f} s CPU",
        f"{limit['wall']:.1f} s",
        unit=" s", least=False, details=dict(found.of),
    )  # fmt: skip
    yield Line(
        what, "csv.reader → csv.writer of the file", found.ratio("ours", "csv"), 0.1, 0.2,
        f"{ours['wall']:.1f} s", f"{limit['wall']:.1f} s",
    )  # fmt: skip
    yield Line(
        f"{what}, most memory of a process", "", ours["rss"], 400, 250, f"{ours['rss']:.0f} MiB",
        f"{limit['rss']:.0f} MiB", unit=" MiB", least=False,
    )  # fmt: skip


def write_year(path: Path, people: int) -> int:
    """Write the rows in the order of their days; returns how many there are."""
    draw = random.Random(29)
    profile = parse(shipped_text(PROFILE), PROFILE)
    source = profile.column("source")
    assert source is not None
    often = [draw.paretovariate(1.2) for _ in range(people * len(source.related_values))]
    share = _ACTIVE * len(often) / sum(min(each, 15) for each in often)
    chances = [min(each, 15) * share for each in often]
    total = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ("UserPrincipalName", "ActivityDate", "Activity", "ActivityCount", "VolumeMB", "Details")
        )
        for number in range(365):
            day = f"{_FIRST + datetime.timedelta(days=number)}T00:00:00Z"
            rows = [
                (f"user{at % people:04d}@contoso.com", day, source.related_values[at // people],
                 round(draw.paretovariate(1)), "", "made-up files")
                for at, chance in enumerate(chances) if draw.random() < chance
            ]  # fmt: skip
            writer.writerows(rows)
            total += len(rows)
    return total


def _thresholds(file: Path, scratch: Path) -> dict[str, float]:
    """One run, with its page."""
    program = Path(sys.executable).with_name("irmexport")
    environment = os.environ | {"IRMEXPORT_OUTBOX": str(scratch / "outbox")}
    command = [str(program), "thresholds", PROFILE, str(file), "--output", str(scratch / "page.html")]
    return run_measured(command, scratch, environment=environment)
