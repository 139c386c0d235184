"""`irmexport send --dry-run` with `identity`, a directory of 100,000 people, beside the same without it."""

from __future__ import annotations

import csv
import datetime
import os
import random
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from irmcore.identity.directory import Directory
from irmcore.identity.person import Person
from irmcore.profile import shipped_text

from benchmarks.rows import FIELDS, PROFILE, rows
from benchmarks.table import Line
from benchmarks.timing import race, run_measured

PEOPLE = 100_000
_DAY = 86_400.0


def measure(scratch: Path, *, rows: int, rounds: int) -> Iterator[Line]:
    """Measure the processor time, and the memory of the largest process."""
    taken = time.monotonic()
    write_directory(scratch / "identities.sqlite")
    taken = time.monotonic() - taken
    for folder, keys in (("plain", ""), ("resolving", "identity: {directory: ../identities.sqlite}\n")):
        (scratch / folder).mkdir()
        (scratch / folder / "profile.yaml").write_text(shipped_text(PROFILE) + "\n" + keys)
    for what, file in (
        ("100,000 names, half of them addresses", write_rows(scratch / "many.csv", rows, PEOPLE)),
        ("5,000 names", write_rows(scratch / "few.csv", rows, 5_000)),
    ):
        contenders = {folder: partial(dry_run, file, scratch / folder) for folder in ("plain", "resolving")}
        found = race(contenders, rounds)
        plain, resolving = found.of["plain"], found.of["resolving"]
        yield Line(
            f"resolve the users of {rows:,} rows, {what}; processor time",
            "the same without `identity`",
            found.ratio("plain", "resolving", "cpu"),
            1.5,
            1.25,
            f"{resolving['cpu']:.2f} s, {resolving['rss']:.0f} MiB (directory written in {taken:.0f} s)",
            f"{plain['cpu']:.2f} s, {plain['rss']:.0f} MiB",
            least=False,
            details=dict(found.of),
        )


def write_directory(path: Path) -> None:
    """100,000 people. Every fiftieth was renamed; every twentieth is a disabled twin of the next."""
    now = time.time()
    with Directory(path, writable=True) as directory:
        for days, renamed in ((60, False), (1, True)):
            at = now - days * _DAY
            directory.begin(at)
            for number in range(PEOPLE):
                if not renamed or number % 50 == 0:
                    directory.put(_person(number, renamed=renamed), at)
            directory.commit("", at)


def _person(number: int, *, renamed: bool) -> Person:
    shared = (f"address{number + 1:06d}@contoso.com",) if number % 20 == 0 else ()
    return Person(
        f"00000000-0000-0000-0000-{number:012}",
        f"user{number:06d}{'.new' if renamed else ''}@contoso.com",
        (f"address{number:06d}@contoso.com", f"user{number:06d}@contoso.com", *shared),
        account_names=(f"CONTOSO\\user{number:06d}", f"user{number:06d}"),
        sid=f"S-1-5-21-1-2-3-{number}",
        created=0.0,
        enabled=number % 20 != 0,
    )


def write_rows(path: Path, count: int, names: int) -> Path:
    """The rows of ``rows`` with names of the directory and times of the last days."""
    draw = random.Random(1)
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=20)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for row in rows(count):
            at = start + datetime.timedelta(seconds=draw.randrange(14 * 86_400))
            number = draw.randrange(names - 1)
            number += number % 20 == 0  # nobody who is disabled: no row is refused
            kind = "address" if names == PEOPLE and number % 40 < 20 else "user"
            name = f"{kind}{number:06d}@contoso.com"
            writer.writerow((name, *row[1:4], at.strftime("%Y-%m-%dT%H:%M:%SZ"), *row[5:]))
    return path


def dry_run(file: Path, folder: Path) -> dict[str, float]:
    """One run without an outbox, in the Python that runs this."""
    program = Path(sys.executable).with_name("irmexport")
    environment = os.environ | {"IRMEXPORT_OUTBOX": str(folder / "outbox")}
    profile = str(folder / "profile.yaml")
    return run_measured(
        [str(program), "send", str(file), "--profile", profile, "--dry-run"], folder, environment=environment
    )
