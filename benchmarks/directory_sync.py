"""How long `irmexport identities sync` takes for a whole tenant, from the emulator to the durable directory.

The emulator is a process of its own and shares the processors. A page has 200 people, and each request is a
connection of its own. "The other" reads the same pages with Microsoft's pipeline and stores nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from irmcore.identity.directory import Directory

from benchmarks.table import Line
from benchmarks.timing import HERE, put_away, race, run_measured


def measure(scratch: Path, *, people: int, rounds: int) -> Iterator[Line]:
    """Measure time and memory of a first sync."""
    service = scratch / "service"
    program = str(Path(sys.executable).with_name("irmexport"))
    command = [program, "identities", "emulator", "--directory", str(service), "--people", str(people)]
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.DEVNULL) as running:
        try:
            while not (service / "graph.json").exists():
                assert running.poll() is None
                time.sleep(0.05)
            found = race(
                {
                    "ours": partial(_sync, scratch, service, program, people),
                    "pages": partial(_read, scratch, service, people),
                },
                rounds,
            )
        finally:
            running.terminate()
    ours, pages = found.of["ours"], found.of["pages"]
    what = f"`irmexport identities sync`, {people:,} people, the first time"
    yield Line(
        what, "", ours["wall"], 60, 30, f"{ours['wall']:.1f} s", f"{pages['wall']:.1f} s",
        unit=" s", least=False, details=dict(found.of),
    )  # fmt: skip
    yield Line(
        f"{what}, most memory", "", ours["rss"], 600, 300,
        f"{ours['rss']:.0f} MiB", f"{pages['rss']:.0f} MiB", unit=" MiB", least=False,
    )  # fmt: skip


def _sync(scratch: Path, service: Path, program: str, people: int) -> dict[str, float]:
    """One sync into a new directory."""
    directory = scratch / "people.sqlite"
    put_away(directory)
    command = [program, "identities", "sync", "--directory", str(directory), "--emulator", str(service)]
    environment = os.environ | {"IRMEXPORT_PROFILES": str(scratch)}
    taken = run_measured(command, scratch, environment=environment)
    with Directory(directory) as found:
        if sum(1 for _ in found.people()) != people:
            sys.exit(f"the directory does not have {people} people")
    return taken


def _read(scratch: Path, service: Path, people: int) -> dict[str, float]:
    """The same pages, only read."""
    command = [sys.executable, str(HERE / "peers" / "graph_pages.py"), str(service), str(people)]
    return run_measured(command, scratch)
