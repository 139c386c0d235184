"""Real collectors, killed at any moment: the table has each record, IRMAlerts counts each alert once."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.operations import operations
from irmcore.outbox import Outbox, states
from irmemulator.faults import Fault
from irmsentinel.collector import cursor as feed_cursor
from irmsentinel.emulators.collector_session import TENANT
from irmsentinel.emulators.synthetic_records import alert_record

from tests.fakes.emulated_faults import azure_fault
from tests.sentinel.irmsentinel.collector.collecting import TABLE, Rig
from tests.tracing import traced

WORKER = Path(__file__).with_name("collect_worker.py")


class Nursery:
    """The process that collectors are forked from."""

    def __init__(self, rig: Rig) -> None:
        self._process = subprocess.Popen(
            [sys.executable, WORKER, rig.root, rig.emulator.directory, rig.source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
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
        self._process.communicate(timeout=20)
        assert self._process.returncode == 0


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kills", [12, pytest.param(40, marks=pytest.mark.faults)])
def test_kill_9_at_random_loses_no_record_and_no_alert_is_counted_twice(tmp_path: Path, kills: int) -> None:
    """While blobs keep arriving, with duplicates, throttling and lost answers of uploads."""
    rig = Rig(tmp_path, page_size=7, latency=0.002, run_kql=False)
    rig.emulator.options.now = time.time
    chance = random.Random(8)  # noqa: S311 - when to kill, no secret
    made: dict[str, str] = {}
    with rig.emulator as emulator:
        emulator.announce()
        nursery = Nursery(rig)
        ask = nursery.ask
        for _ in range(kills):
            pid = ask("load")
            for _ in range(2):
                number = len(made) // 2
                for version in (0, 1):
                    record = alert_record(number, version, time.time() - 60, TENANT)
                    made[record["Id"]] = record["AlertId"]
                    for _ in range(chance.choice((1, 1, 2))):  # some come in two blobs
                        emulator.feed.add(time.time() - chance.uniform(2, 80_000), [record])
            if chance.random() < 0.3:
                emulator.faults.next(Fault("upload", close_without_reply=True, keep=True))
            if chance.random() < 0.3:
                emulator.faults.next(azure_fault("blob", 400, "AF50000"))
            # A collector's start takes longer than what is tested: the kill comes once it fetches.
            asked, until = emulator.count("/audit/"), time.monotonic() + 5
            while emulator.count("/audit/") == asked and time.monotonic() < until:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.6))
            os.kill(pid, signal.SIGKILL)
            assert ask(f"wait {pid}") == -signal.SIGKILL
        emulator.faults.clear()
        resume(rig)
        assert ask(f"wait {ask('once')}") == 0
        nursery.close()
    found = Counter(rig.ids())
    assert found.keys() == made.keys()
    assert queued(rig) == []
    rig.clock.advance(time.time() - rig.clock.now())
    assert rig.alerts() == sorted((alert, 1) for alert in set(made.values()))
    assert len(emulator.ingestion.rows[TABLE]) < 2 * len(
        made
    )  # a repeat is what a lost answer costs, not the rule


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kills", [5, pytest.param(30, marks=pytest.mark.faults)])
def test_kill_9_while_graph_is_read_loses_no_alert_and_no_latest_version(tmp_path: Path, kills: int) -> None:
    """While alerts are created and updated, pages fail, and answers of uploads are lost."""
    rig = Rig(tmp_path, source="graph", page_size=4, run_kql=False)
    rig.emulator.options.now = time.time
    rig.emulator.options.graph_per_minute = 1_000_000
    chance = random.Random(9)  # noqa: S311 - when to kill, no secret
    made: set[tuple[str, str]] = set()
    with rig.emulator as emulator:
        emulator.announce()
        nursery = Nursery(rig)
        ask = nursery.ask
        for number in range(12):
            made.add(rig.graph_alert(80_000 - number, number))
        for kill in range(kills):
            pid = ask("load")
            asked, until = emulator.count("/alerts_v2"), time.monotonic() + 30
            while emulator.count("/alerts_v2") < asked + 2 and time.monotonic() < until:
                time.sleep(0.005)
            made |= {rig.graph_alert(0, 100 + kill), rig.graph_alert(0, kill % 12, 1 + kill // 12)}
            if chance.random() < 0.3:
                emulator.faults.next(Fault("upload", close_without_reply=True, keep=True))
            if chance.random() < 0.3:
                emulator.faults.next(azure_fault("alerts", 503, "ServiceUnavailable"))
            time.sleep(chance.uniform(0, 0.6))
            os.kill(pid, signal.SIGKILL)
            assert ask(f"wait {pid}") == -signal.SIGKILL
        emulator.faults.clear()
        resume(rig)
        assert ask(f"wait {ask('once')}") == 0
        nursery.close()
    found = Counter(rig.versions())
    assert found.keys() <= made
    assert dict(sorted(found)) == dict(sorted(made))  # the latest version of each alert
    assert queued(rig) == []
    assert sum(found.values()) < 2 * len(found)


#: Between two calls at which a round is killed in `make faults`; `make test` does a few.
STRIDES = {
    "rename": 1,
    "unlink": 1,
    "connect": 1,
    "mkdir": 2,
    "fsync": 3,
    "write": 3,
    "openat": 11,
    "read": 13,
}


@pytest.mark.needs("strace")
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("call", "first", "stride"),
    [
        ("rename", 11, 5),  # of the first batch into ready/, of another into done/
        *(pytest.param(call, 1, step, marks=pytest.mark.faults) for call, step in STRIDES.items()),
    ],
)
def test_killed_at_each_system_call_of_a_round(
    tmp_path: Path, call: str, first: int, stride: int, record_property: Any
) -> None:
    """After any kill the cursor is right, and the next round delivers each record, counted once."""
    rig = Rig(tmp_path, run_kql=False)
    rig.emulator.options.now = time.time
    made: dict[str, tuple[float, str]] = {}
    with rig.emulator as emulator:
        emulator.announce()
        for number in range(5):
            created = time.time() - 3600 * (number + 1)
            record = alert_record(number, 0, created - 60, TENANT)
            emulator.feed.add(created, [record])
            made[record["Id"]] = (created, record["AlertId"])
        emulator.feed.add(created + 60, [record])  # one comes in two blobs
        nursery = Nursery(rig)
        kept = []
        for number in itertools.count(first, stride):
            emulator.ingestion.rows[TABLE].clear()
            rig.root = tmp_path / f"outbox-{number}"
            rig.root.mkdir(mode=0o700)
            pid = nursery.ask(f"stopped {rig.root}")
            with traced(pid, call, number, tmp_path / "strace"):
                status = nursery.ask(f"wait {pid}")
            assert status in (0, -signal.SIGKILL)
            check(rig, made)
            assert nursery.ask(f"wait {nursery.ask(f'again {rig.root}')}") == 0
            check(rig, made)
            assert set(rig.ids()) == set(made)
            assert queued(rig) == []
            kept += emulator.ingestion.rows[TABLE]
            if status == 0:
                break
        nursery.close()
    emulator.ingestion.rows[TABLE] = kept
    rig.clock.advance(time.time() - rig.clock.now())
    assert rig.alerts() == sorted((alert, 0) for _, alert in made.values())
    kills = (number - first) // stride
    assert kills >= 2
    record_property(f"kills at {call}", kills)


def check(rig: Rig, made: dict[str, tuple[float, str]]) -> None:
    """The cursor is not past what is durable, and the workspace has what counts as acknowledged."""
    there = outbox(rig)
    cursor = feed_cursor.load(there)
    acknowledged = feed_cursor.acknowledged(there, cursor) if there.exists() else 0
    durable = "".join(file.read_text() for file in Path(there.path).glob("[rdq]*/**/payload"))
    for name, (created, _) in made.items():
        assert created >= cursor.collected or name in durable
        assert created >= acknowledged or name in rig.ids()


def outbox(rig: Rig) -> Outbox:
    """The collector's outbox."""
    return Outbox(PosixDisk(), SystemClock(), f"{rig.root}/{rig.settings().target.outbox_name}")


def resume(rig: Rig) -> None:
    """Send everything that is queued now, as `irmexport resume` does."""
    operations.resume(outbox(rig), who="me")


def queued(rig: Rig) -> list[str]:
    """The states of unfinished batches."""
    found = [*outbox(rig).ready(), *outbox(rig).quarantined()]
    return [b.state.name for b in found if b.state and b.state.name not in states.ENDED]
