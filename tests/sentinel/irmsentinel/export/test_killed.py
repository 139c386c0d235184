"""A real process that exports, killed at any moment: the next run loses no row and repeats none."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from irmsentinel.export.cursor import CursorFile

from tests.sentinel.irmsentinel.export.exports import WORKSPACE, Stage, api, okta
from tests.sentinel.irmsentinel.export.worker import DAYS
from tests.tracing import traced

ROOT = Path(__file__).parents[4]
#: Seconds in which a process has its first rows in the outbox, on a slow machine.
PATIENCE = 15.0


class Nursery:
    """The process that workers are forked from."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sentinel.irmsentinel.export.worker", directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def ask(self, line: str) -> int:
        """Send a line; returns the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=30)


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait until the condition holds; fails after too long."""
    end = time.monotonic() + PATIENCE
    while not happened() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.timeout(400)  # each process starts from nothing, which takes long on a busy machine
@pytest.mark.parametrize("most", [4, pytest.param(8, marks=pytest.mark.faults)])
def test_killed_at_random(tmp_path: Path, most: int, record_property: Any) -> None:
    """Forty rows over twenty days, read in pieces: after random kills each row is stored exactly once."""
    days = [f"2026-11-{day:02}" for day in range(1, DAYS + 1)]
    rows = [okta(f"{day}T08:00:00Z", f"{name}@contoso.com") for day in days for name in ("a", "b")]
    rng = random.Random(20261120)  # noqa: S311 - moments, not secrets
    kills, positions = 0, []
    with Stage(tmp_path).running() as stage, api({"OktaSystemLogs": rows}, tmp_path / "api", max_rows=2):
        cursor_file = CursorFile(stage.session().outbox, "okta", WORKSPACE)
        nursery = Nursery(tmp_path)
        while kills < most:
            before = cursor_file.load()
            pid = int(nursery.ask("go"))
            if kills % 4:  # the others are killed at their beginning
                wait_for(lambda before=before: cursor_file.load() != before)
            time.sleep(rng.uniform(0.0, 0.5))  # the moment is the test
            os.kill(pid, signal.SIGKILL)
            status = nursery.ask(f"wait {pid}")
            assert status in (0, -signal.SIGKILL), (tmp_path / "failed").read_text()
            cursor = cursor_file.load()
            positions.append(cursor.read_to.isoformat() if cursor else "")
            kills += status != 0
            if status == 0:
                break  # it has done all its work: there is nothing left to kill
        last = int(nursery.ask("go"))
        assert nursery.ask(f"wait {last}") == 0, (tmp_path / "failed").read_text()
        nursery.close()
        assert stage.session().drain() == 0
        kept = Counter((user, day) for user, day, _ in stage.counts())
    assert kept == dict.fromkeys(((f"{n}@contoso.com", day) for n in ("a", "b") for day in days), 1)
    assert positions == sorted(positions)  # a cursor never goes back
    assert len(set(positions)) >= 3  # some were killed with a part of the work done
    record_property("kills", kills)
    record_property("cursors", len(set(positions)))


#: Between two calls at which an export is killed in `make faults`; `make test` does a few.
STRIDES = {"rename": 1, "fsync": 3, "write": 3, "mkdir": 4, "unlink": 3, "openat": 17, "read": 7}
#: More than one piece of time.
FEW = [f"2026-11-{day}" for day in range(13, 21)]


@pytest.mark.needs("strace")
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("call", "first", "stride"),
    [
        ("rename", 5, 2),  # of a batch into ready/
        *(pytest.param(call, 1, step, marks=pytest.mark.faults) for call, step in STRIDES.items()),
    ],
)
def test_killed_at_each_system_call_of_an_export(
    tmp_path: Path, call: str, first: int, stride: int, record_property: Any
) -> None:
    """After any kill the cursor is right, and the next run leaves each row there once."""
    rows = [okta(f"{day}T08:00:00Z") for day in FEW]
    pairs = [("sarad@contoso.com", day) for day in FEW]
    with Stage(tmp_path).running() as stage, api({"OktaSystemLogs": rows}, tmp_path / "api"):
        nursery = Nursery(tmp_path)
        for number in itertools.count(first, stride):
            outbox = f"outbox-{number}"
            here = Stage(tmp_path, outbox=outbox).session().outbox
            pid = nursery.ask(f"stopped {outbox} {len(FEW)}")
            with traced(pid, call, number, tmp_path / "strace"):
                status = nursery.ask(f"wait {pid}")
            assert status in (0, -signal.SIGKILL), (tmp_path / "failed").read_text()
            accepted = there(here.path)
            assert len(accepted) == len(set(accepted))
            cursor = CursorFile(here, "okta", WORKSPACE).load()
            for user, day in pairs:
                before = cursor and datetime.fromisoformat(day).replace(tzinfo=UTC) < cursor.read_to
                assert (user, day) in accepted or not before
            last = nursery.ask(f"go {outbox} {len(FEW)}")
            assert nursery.ask(f"wait {last}") == 0, (tmp_path / "failed").read_text()
            assert there(here.path) == pairs
            if status == 0:
                break
        nursery.close()
        assert Stage(tmp_path, outbox=outbox).session().drain() == 0
        assert [(user, day) for user, day, _ in stage.counts()] == pairs
    kills = (number - first) // stride
    assert kills >= 2
    record_property(f"kills at {call}", kills)


def there(outbox: str) -> list[tuple[str, str]]:
    """User and day of each row in an outbox's batches, sorted; without staged rows."""
    files = [file for place in ("ready", "done") for file in Path(outbox, place).glob("**/payload")]
    lines = [line for file in files for line in file.read_text().splitlines()[1:]]
    return sorted((line.split(",")[0], day) for line in lines for day in FEW if day in line)
