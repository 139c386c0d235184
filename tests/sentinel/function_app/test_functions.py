"""The timers of the Function app, as the host indexes and invokes them, with an outbox in a directory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from irmcore import profile as profiles
from irmsentinel.functions.command import BUDGET
from irmsentinel.functions.timers import DRAIN_SECONDS, drain_seconds

from tests.fakes import functions_host
from tests.sentinel.function_app.instances import Instances
from tests.sentinel.irmsentinel.export.exports import WORKSPACE, Stage, api, okta

TIMERS = ("export", "collect", "drain", "health")


@contextmanager
def deployed(tmp_path: Path) -> Iterator[tuple[Stage, Instances]]:
    """The app with a plan, and emulators of everything that it talks to."""
    files = tmp_path / "settings"
    files.mkdir()
    plan = ["schema: 1", f"workspaces: ['{WORKSPACE}']", "exports:", "- aggregation: okta"]
    (files / "sentinel.yaml").write_text("\n".join(plan))
    rows = [okta(f"2026-11-{day}T08:00:00Z") for day in (19, 20)]
    with Stage(tmp_path).running() as stage, api({"OktaSystemLogs": rows}, tmp_path / "api"):
        emulators = f"--query-emulator '{tmp_path}/api' --emulator '{tmp_path}/emulator'"
        settings = {
            "IRMEXPORT_OUTBOX": str(tmp_path / "outbox"),
            "IRMEXPORT_SETTINGS": str(files),
            "IRMEXPORT_EXPORT_OPTIONS": emulators,
        }
        yield stage, Instances(tmp_path, settings)


def test_the_host_finds_every_timer() -> None:
    """Each has its schedule in an app setting, is watched by the host, and never runs just because it starts.

    `run_on_startup` would run it again on each new instance.
    """
    found = functions_host.load()
    for name in TIMERS:
        (binding,) = (json.loads(str(one)) for one in found[name].get_raw_bindings())
        assert binding["type"] == "timerTrigger"
        assert binding["schedule"] == f"%IRMEXPORT_{name.upper()}_SCHEDULE%"
        assert not binding.get("runOnStartup")
        assert binding.get("useMonitor", True)


def test_every_command_ends_before_the_host_ends_the_instance() -> None:
    """The time of an invocation is shorter than the host's, and an upload has its 30 minutes in it."""
    host = json.loads((functions_host.APP / "host.json").read_text())
    hours, minutes, seconds = map(int, host["functionTimeout"].split(":"))
    assert hours * 3600 + minutes * 60 + seconds - BUDGET >= 240
    assert drain_seconds(BUDGET) == DRAIN_SECONDS
    for left in (3000, 2400, 1900, 1800, 60, -5):
        assert drain_seconds(left) == 0 or drain_seconds(left) + 1800 <= left
    assert drain_seconds(1900) == 100


def test_rows_go_from_the_workspace_to_the_connector(tmp_path: Path) -> None:
    """`export` accepts, `drain` sends, `health` reports; all that is logged at the end says how it ended."""
    with deployed(tmp_path) as (stage, instances):
        done = instances.invoke("export")
        assert done.code == 0, done.log
        assert re.search(r"INFO irmexport export: succeeded after \d+ s\n\Z", done.log)
        assert stage.counts() == []
        sent = instances.invoke("drain")
        assert sent.code == 0, sent.log
        assert "Upload Successful" in sent.log
        assert "queued: 0 batches" in instances.invoke("health").log
        again = instances.invoke("export")
        assert "not due before" in again.log
        assert [count for _, _, count in stage.counts()] == [1, 1]


def test_a_function_without_its_settings_says_what_to_do(tmp_path: Path) -> None:
    """A missing app setting or file, and a reference that Azure left unresolved, which fails by its name."""
    instances = Instances(tmp_path, {"IRMEXPORT_OUTBOX": str(tmp_path / "outbox")})
    missing = instances.invoke("export")
    assert missing.code == 1
    assert "IRMEXPORT_SETTINGS: the app setting is missing" in missing.log
    instances.settings["IRMEXPORT_SETTINGS"] = str(tmp_path)
    no_file = instances.invoke("collect")
    assert no_file.code == 1
    assert "the settings file collector.yaml is missing" in no_file.log
    assert "AzureWebJobs.collect.Disabled=true" in no_file.log
    reference = "@Microsoft.KeyVault(SecretUri=https://vault.vault.azure.net/secrets/connector)"
    instances.settings["IRMEXPORT_CONNECTOR_SECRET"] = reference
    unresolved = instances.invoke("drain")
    assert unresolved.code == 1
    assert "app setting IRMEXPORT_CONNECTOR_SECRET: Azure has not resolved the reference" in unresolved.log
    assert "Key Vault Secrets User" in unresolved.log


def test_what_needs_a_person_fails_and_what_will_be_tried_again_does_not(tmp_path: Path) -> None:
    """A wrong plan fails the invocation, which alerts. A service that is away is a warning, no success."""
    with deployed(tmp_path) as (_, instances):
        plan = Path(instances.settings["IRMEXPORT_SETTINGS"], "sentinel.yaml")
        plan.write_text(plan.read_text().replace("okta", "octa"))
        wrong = instances.invoke("export")
        assert (wrong.code, "needs attention" in wrong.log, "octa" in wrong.log) == (1, True, False), (
            wrong.log
        )
        plan.write_text(plan.read_text().replace("octa", "okta"))
        assert instances.invoke("export").code == 0
    away = instances.invoke("drain")  # the emulator has ended
    assert (away.code, "succeeded" in away.log) == (0, False), away.log
    assert "not finished; the next run tries again" in away.log


def test_refused_rows_beside_a_service_that_is_away_need_nobody(tmp_path: Path) -> None:
    """Each is no failure of the invocation, and so both are none."""
    with deployed(tmp_path) as (_, instances):
        assert instances.invoke("export").code == 0
    (tmp_path / "in").mkdir()
    columns = profiles.parse(profiles.shipped_text("sentinel-activity"), "x").columns
    header = ",".join(column.header for column in columns)
    (tmp_path / "in/x.csv").write_text(f"{header}\n{'x,' * (len(columns) - 1)}x\n")
    options = f"--profile sentinel-activity --settle 0.1 --emulator '{tmp_path}/emulator'"
    instances.settings["IRMEXPORT_WATCH"] = f"'{tmp_path}/in' {options}"
    done = instances.invoke("drain")
    assert "1 refused" in done.log, done.log
    assert (done.code, "not finished; the next run tries again" in done.log) == (0, True), done.log


@pytest.mark.parametrize("name", ["IRMEXPORT_WATCH", "IRMEXPORT_DRAIN_OPTIONS"])
def test_a_setting_with_an_open_quotation_mark_is_named(tmp_path: Path, name: str) -> None:
    """An apostrophe in a folder's name is easily written like that."""
    settings = {"IRMEXPORT_OUTBOX": str(tmp_path / "o"), "IRMEXPORT_SETTINGS": str(tmp_path)}
    failed = Instances(tmp_path, settings | {name: "sharepoint://h/Bob's files --profile x"}).invoke("drain")
    assert failed.code == 1
    assert f"{name}: the app setting cannot be read as options" in failed.log


def test_a_store_that_is_away_is_no_failure(tmp_path: Path) -> None:
    """The settings are read from it before every invocation: an outage must not wake a person each time."""
    away = "s3://bucket/settings?endpoint=https://127.0.0.1:9"
    settings = {"IRMEXPORT_OUTBOX": str(tmp_path / "o"), "IRMEXPORT_SETTINGS": away}
    settings |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "made-up"}
    done = Instances(tmp_path, settings).invoke("drain")
    assert (done.code, "not finished; the next run tries again" in done.log) == (0, True), done.log


def test_a_watched_folder_is_accepted_before_what_is_queued_is_sent(tmp_path: Path) -> None:
    """By the timer `drain`, whose own options are not given to `watch`. Two folders have a line each."""
    with deployed(tmp_path) as (stage, instances):
        for name in ("in 1", "in2"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "x.csv").write_text("not,the,columns\n1,2,3\n")
        options = f"--profile leavers --settle 0.1 --emulator '{tmp_path}/emulator'"
        instances.settings["IRMEXPORT_WATCH"] = f"'{tmp_path}/in 1' {options}\n\n{tmp_path}/in2 {options}"
        instances.settings["IRMEXPORT_DRAIN_OPTIONS"] = "--json"
        done = instances.invoke("drain")
        assert (tmp_path / "in 1/errors/x.csv.error.txt").exists(), done.log
        assert (tmp_path / "in2/errors/x.csv.error.txt").exists(), done.log
        assert stage.counts() == []
