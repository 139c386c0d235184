"""Real collectors, killed at any moment: the table has each record at least once, IRMAlerts exactly once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.desk import Desk
from irmcore.disk import PosixDisk
from irmcore.outbox import Box, states
from irmsentinel import rehearsal, synthetic
from irmsentinel.tenant import Fault

from tests.sentinel.irmsentinel.collecting import TABLE, Rig

WORKER = Path(__file__).with_name("collect_worker.py")
KILLS = 40
#: Seconds that the kills may take.
BOUND = 15.0


def test_kill_9_at_random_loses_no_record_and_no_alert_is_counted_twice(tmp_path: Path) -> None:
    """With blobs that come all the time, duplicates, throttling, lost answers of uploads."""
    rig = Rig(tmp_path, page_size=7, latency=0.002, run_kql=False)
    rig.tenant.options = replace(rig.tenant.options, now=time.time)
    chance = random.Random(8)  # noqa: S311 - when to kill, no secret
    made: dict[str, str] = {}
    with rig.tenant as tenant:
        tenant.announce()
        nursery = subprocess.Popen(
            [sys.executable, WORKER, rig.root, tenant.directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert nursery.stdin is not None
        assert nursery.stdout is not None

        def ask(line: str) -> int:
            assert nursery.stdin is not None
            assert nursery.stdout is not None
            nursery.stdin.write(f"{line}\n")
            nursery.stdin.flush()
            return int(nursery.stdout.readline())

        end, kills = time.monotonic() + BOUND, 0
        while kills < KILLS and time.monotonic() < end:
            pid = ask("load")
            for _ in range(2):
                number = len(made) // 2
                for version in (0, 1):
                    record = synthetic.alert(number, version, time.time() - 60, rehearsal.TENANT)
                    made[record["Id"]] = record["AlertId"]
                    for _ in range(chance.choice((1, 1, 2))):  # some come in two blobs
                        tenant.add(time.time() - chance.uniform(2, 80_000), [record])
            if chance.random() < 0.3:
                tenant.fail(Fault("upload", cut=True, after=True))
            if chance.random() < 0.3:
                tenant.fail(Fault("blob", 400, "AF50000"))
            # A collector's start takes longer than what is tested: the kill comes once it fetches.
            asked, until = tenant.count("/audit/"), time.monotonic() + 5
            while tenant.count("/audit/") == asked and time.monotonic() < until:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.6))
            os.kill(pid, signal.SIGKILL)
            assert ask(f"wait {pid}") == -signal.SIGKILL
            kills += 1
        tenant.recover()
        resume(rig)
        assert ask(f"wait {ask('once')}") == 0
        nursery.stdin.close()
        assert nursery.wait(20) == 0
    assert kills >= 5
    found = Counter(rig.ids())
    assert found.keys() == made.keys()
    assert waiting(rig) == []
    rig.clock.advance(time.time() - rig.clock.now())
    assert rig.alerts() == sorted((alert, 1) for alert in set(made.values()))
    assert len(tenant.rows[TABLE]) < 2 * len(made)  # a repeat is what a lost answer costs, not the rule


def box(rig: Rig) -> Box:
    """The collector's outbox."""
    return Box(PosixDisk(), SystemClock(), f"{rig.root}/{rig.settings().target.box_name}")


def resume(rig: Rig) -> None:
    """Let all that waits go now, as `irmexport resume` does."""
    Desk(PosixDisk(), SystemClock(), str(rig.root)).resume(box(rig))


def waiting(rig: Rig) -> list[str]:
    """The states of batches that have not ended."""
    found = [*box(rig).waiting(), *box(rig).quarantined()]
    return [b.state.name for b in found if b.state and b.state.name not in states.ENDED]
