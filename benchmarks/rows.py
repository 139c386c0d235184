"""The rows for measurements: invented, always the same, and hard on caches.

Eight fields as the shipped profile ``salesforce-dropbox`` has them. 5,000 users; a time of its own
for nearly every row; a free text that never repeats; a second one that is mostly empty.
"""

from __future__ import annotations

import csv
import datetime
import io
import random
from collections.abc import Iterator
from pathlib import Path

FIELDS = (
    *("User_Principal_Name", "Display_Name", "Alert_Severity", "Alert_Count", "Aggregation_Date"),
    *("Source_Workload", "AdditionalInfo_Salesforce", "AdditionalInfo_Dropbox"),
)
PROFILE = "salesforce-dropbox"
USERS = 5_000
_FIRST = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
_SEVERITIES = ("low", "Low", "Medium", "High", "critical", "informational")


def rows(count: int, *, days: int = 7, first: int = 0, seed: int = 1) -> Iterator[tuple[str, ...]]:
    """``count`` rows on ``days`` dates, starting ``first`` days after 2026-11-01."""
    draw = random.Random(seed)
    begin = _FIRST + datetime.timedelta(days=first)
    for number in range(count):
        at = begin + datetime.timedelta(seconds=draw.randrange(days * 86_400))
        dropbox = draw.random() < 0.5
        yield (
            f"user{draw.randrange(USERS):04d}@contoso.com",
            f"{'Dropbox' if dropbox else 'Salesforce'} - made-up detection {draw.randrange(40)}",
            draw.choice(_SEVERITIES),
            str(draw.randrange(1, 500)),
            at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Dropbox" if dropbox else "Salesforce",
            "" if dropbox else f"report {number} of {draw.randrange(10**9)}, printed",
            f"{number} files, folder {draw.randrange(10**9)}" if dropbox else "",
        )


def write_csv(path: Path, count: int, **how: int) -> Path:
    """Write a file of ``count`` rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows(rows(count, **how))
    return path


def splunk_bodies(count: int, per_chunk: int) -> Iterator[bytes]:
    """The same rows as splunkd sends them: with ``__mv_`` columns, and a header in each chunk."""
    source = rows(count)
    empty = ("",) * len(FIELDS)
    for start in range(0, count, per_chunk):
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((*FIELDS, *(f"__mv_{field}" for field in FIELDS)))
        for _ in range(min(per_chunk, count - start)):
            writer.writerow((*next(source), *empty))
        yield text.getvalue().encode("utf-8")
