"""A day of timers in minutes: instances without a disk that lasts, killed at random and run twice at once."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from irmsentinel.emulators.collector_session import running_emulator

from tests.sentinel.function_app.cloud import cloud
from tests.sentinel.function_app.instances import Instances
from tests.sentinel.irmsentinel.export.exports import NOW, WORKSPACE, Stage, api, okta

pytestmark = pytest.mark.needs("azurite")
PLAN = f"""schema: 1
workspaces: ['{WORKSPACE}']
exports:
- aggregation: okta
  first: 20d
  overlap: 2d
"""


@pytest.mark.timeout(600)
def test_every_row_is_delivered_once(tmp_path: Path) -> None:
    """Kills, two instances at once and cold starts: each row is stored exactly once, and nothing is left."""
    azure_rows = [
        okta(f"{NOW - timedelta(days=day):%Y-%m-%d}T08:00:00Z", f"{name}@contoso.com")
        for day in range(1, 20)
        for name in ("a", "b")
    ]
    rng = random.Random(20261130)  # noqa: S311 - moments, not secrets
    with (
        cloud(tmp_path / "azure") as azure,
        Stage(tmp_path).running() as stage,
        api({"OktaSystemLogs": azure_rows}, tmp_path / "api", max_rows=6),
    ):
        azure.put_settings("day", {"sentinel.yaml": PLAN})
        instances = Instances(tmp_path, azure.app_settings("day"))
        emulators = f"--query-emulator '{tmp_path}/api' --emulator '{tmp_path}/emulator'"
        instances.settings["IRMEXPORT_EXPORT_OPTIONS"] = emulators
        killed = 0
        for _ in range(4):
            two = [instances.start("export"), instances.start(rng.choice(("export", "drain")))]
            try:
                two[0].wait(rng.uniform(1.5, 6.0))  # the moment is the test
            except subprocess.TimeoutExpired:
                instances.kill(two[0])
                killed += 1
            two[1].communicate(timeout=100)
        done = instances.invoke("export")
        assert (done.code, "succeeded" in done.log) == (0, True), done.log
        sent = instances.invoke("drain")
        assert (sent.code, "succeeded" in sent.log) == (0, True), sent.log
        status = instances.invoke("health")
        assert "queued: 0 batches" in status.log
        kept = Counter((user, day) for user, day, _ in stage.counts())
    wanted = {(row["ActorUsername"], row["TimeGenerated"][:10]) for row in azure_rows}
    assert kept == dict.fromkeys(wanted, 1)
    assert killed


@pytest.mark.timeout(600)
def test_an_alert_is_collected_once_without_a_disk_that_lasts(tmp_path: Path) -> None:
    """Rows, cursor and what is skipped are in Blob Storage: a new instance goes on where one was killed."""
    with (
        cloud(tmp_path / "azure") as azure,
        running_emulator(tmp_path / "tenant", alerts=20, subscribed=True) as tenant,
    ):
        settings = (tmp_path / "tenant" / "collector.yaml").read_text()
        azure.put_settings("collect", {"collector.yaml": settings})
        instances = Instances(tmp_path, azure.app_settings("collect"))
        for function in ("COLLECT", "HEALTH"):
            instances.settings[f"IRMEXPORT_{function}_OPTIONS"] = f"--emulator '{tmp_path}/tenant'"
        killed = instances.start("collect")
        with suppress(subprocess.TimeoutExpired):
            killed.wait(2.5)  # in the middle of it, or before
        instances.kill(killed)
        two = [instances.start("collect"), instances.start("collect")]
        logs = [one.communicate(timeout=100)[0] for one in two]
        done = instances.invoke("collect")
        assert (done.code, "succeeded" in done.log) == (0, True), "\n".join([done.log, *logs])
        again = instances.invoke("collect")
        assert "0 new" in again.log, again.log
        health = instances.invoke("health")
        assert (health.code, "queued: 0 batches" in health.log) == (0, True), health.log
        records = Counter(row["RecordId"] for row in tenant.ingestion.rows["Compliance_IRM_AuditGeneral_CL"])
    assert len(records) == 39
    assert set(records.values()) == {1}
