"""Drain a filled outbox, beside the request pattern of Microsoft's sample script.

The service waits 200 ms before each reply, including the token replies, over real HTTPS.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from irmcore.profile import shipped_text

from benchmarks.rows import PROFILE, write_csv
from benchmarks.table import Line
from benchmarks.timing import HERE, put_away, race, run_measured

SECONDS = 0.2
IN_FLIGHT = 4


def measure(scratch: Path, *, rows: int, rounds: int) -> Iterator[Line]:
    """One upload at a time (the default), and four."""
    service = scratch / "service"
    service.mkdir()
    command = [sys.executable, str(HERE / "peers" / "slow_service.py"), str(service), str(SECONDS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as running:
        while not (service / "emulator.json").exists():
            assert running.poll() is None
            time.sleep(0.05)
        bench = _Bench(scratch, service, rows)
        contenders = {"script": bench.script}
        for name, in_flight in (("one", 1), ("four", IN_FLIGHT)):
            bench.fill(name, in_flight)
            contenders[name] = partial(bench.drain, name)
        found = race(contenders, rounds)
    what = f"draining {rows:,} rows, {SECONDS * 1000:.0f} ms a reply"
    script = f"{found.of['script']['wall']:.1f} s"
    against = "a token and a POST per 5,000 rows, one by one"
    yield Line(
        f"{what}, one at a time", against, found.ratio("one", "script"), 1.0, 1.0,
        f"{found.of['one']['wall']:.1f} s", script, details=dict(found.of),
    )  # fmt: skip
    yield Line(
        f"{what}, {IN_FLIGHT} in flight", against, found.ratio("four", "script"), 1.0, 4.0,
        f"{found.of['four']['wall']:.1f} s", script,
    )  # fmt: skip


class _Bench:
    """The file, the filled outboxes, and the commands that send them."""

    def __init__(self, scratch: Path, service: Path, rows: int) -> None:
        self._scratch, self._service = scratch, service
        self._file = write_csv(scratch / "drain.csv", rows)
        self._program = str(Path(sys.executable).with_name("irmexport"))
        described = json.loads((service / "emulator.json").read_text())
        self._script = [
            *(sys.executable, str(HERE / "peers" / "microsoft_pattern.py"), str(self._file)),
            *(described["url"], described["ca_file"]),
        ]

    def _environment(self, name: str) -> dict[str, str]:
        return os.environ | {"IRMEXPORT_OUTBOX": str(self._scratch / name)}

    def fill(self, name: str, in_flight: int) -> None:
        """An outbox with all rows, saved as the start of each round."""
        profile = self._scratch / f"{name}.yaml"
        text = shipped_text(PROFILE)
        profile.write_text(text.replace("  cloud:", f"  in_flight: {in_flight}\n  cloud:"))
        command = [self._program, "send", str(self._file), "--profile", str(profile), "--queue-only"]
        subprocess.run(
            [*command, "--emulator", str(self._service)],
            check=True,
            env=self._environment(name),
            stdout=subprocess.DEVNULL,
        )
        (self._scratch / name).rename(self._scratch / f"{name}.filled")

    def drain(self, name: str) -> dict[str, float]:
        put_away(self._scratch / name)
        shutil.copytree(self._scratch / f"{name}.filled", self._scratch / name)
        # A copied outbox sends nothing until somebody has said that it may.
        connector = next(path.name for path in (self._scratch / name).iterdir() if path.is_dir())
        subprocess.run(
            [self._program, "outbox", "adopt", connector, "--send", "--why", "a round of a benchmark"],
            check=True,
            env=self._environment(name),
            stdout=subprocess.DEVNULL,
        )
        return run_measured([self._program, "drain"], self._scratch, environment=self._environment(name))

    def script(self) -> dict[str, float]:
        return run_measured(self._script, self._scratch)
