"""`irmexport sentinel run`, as cron runs it: what is due runs once, and exports do not affect each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmcore.disk import PosixDisk
from irmcore.outbox import sealed
from irmsentinel.emulators.query_api import QueryApiEmulator

from tests.fakes.emulated_faults import query_fault
from tests.sentinel.irmsentinel.export.exports import WORKSPACE, Stage, api, okta

OTHER = "00000000-0000-0000-0000-00000000beef"
TABLES: dict[str, list[dict[str, Any]]] = {
    "OktaSystemLogs": [okta("2026-11-20T08:00:00Z")],
    "BoxEventsV2_CL": [
        {
            "TimeGenerated": "2026-11-20T08:00:00Z",
            "event_id": "E1",
            "event_type": "DOWNLOAD",
            "created_by_login": "bradh@contoso.com",
        }
    ],
}


class Machine:
    """A machine with both emulators and a configuration."""

    def __init__(self, stage: Stage, there: QueryApiEmulator, directory: Path) -> None:
        self.stage, self.api = stage, there
        self._directory = directory
        self.plan("okta", "box")

    def plan(self, *names: str, workspaces: tuple[str, ...] = (WORKSPACE,)) -> None:
        """Export these."""
        lines = ["schema: 1", f"workspaces: [{', '.join(workspaces)}]", "exports:"]
        (self._directory / "sentinel.yaml").write_text(
            "\n".join([*lines, *(f"- aggregation: {n}" for n in names)])
        )

    def run(self, *words: str, code: int = 0, as_json: bool = True) -> Any:
        """The JSON document of a command of the group, or none; it must end with that code."""
        at = (
            "--config",
            str(self._directory / "sentinel.yaml"),
            "--emulator",
            str(self._directory / "emulator"),
        )
        more = ("--query-emulator", str(self._directory / "api")) if words == ("run",) else ()
        outbox = (*(["--json"] if as_json else []), "--outbox", str(self._directory / "outbox"), "sentinel")
        done: Result = CliRunner().invoke(main, [*outbox, *words, *at, *more])
        assert done.exit_code == code, done.output
        self.warnings = done.stderr
        return json.loads(done.stdout) if as_json else None


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine that is ready to run."""
    with Stage(tmp_path).running() as stage, api(TABLES, tmp_path / "api") as there:
        yield Machine(stage, there, tmp_path)


def test_what_is_due_is_done_once(machine: Machine) -> None:
    """The first run reads and sends; the second queries nothing; `status` shows the cursors."""
    assert [row["read_to"] for row in machine.run("status")] == [None, None]
    first = machine.run("run")
    assert [(o["aggregation"], o["counts"]["shaped"], o["error"]) for o in first] == [
        ("okta", 1, None),
        ("box", 1, None),
    ]
    assert [row["UserPrincipalName"] for row in machine.stage.kept()] == [
        "sarad@contoso.com",
        "bradh@contoso.com",
    ]
    asked = len(machine.api.queries)
    assert machine.run("run") == []
    assert len(machine.api.queries) == asked
    assert [row["read_to"] for row in machine.run("status")] == ["2026-11-21T00:00:00Z"] * 2


def test_the_profiles_of_all_exports_pass_the_indicators_of_a_tenant(machine: Machine) -> None:
    """Each profile respects the published limit, both together do not: the run says so, and does its work."""
    machine.plan("okta", "usb")
    done = machine.run("run")
    assert [one["aggregation"] for one in done] == ["okta", "usb"]
    assert "2 profiles together: 14 of at most 10 custom indicators of a tenant (https://" in machine.warnings
    assert "read on 2026-11-30" in machine.warnings


def test_a_source_without_rows_is_named(machine: Machine) -> None:
    """By the run, and by `status` until a run reads rows: never a quiet zero."""
    machine.plan("okta", "aws")
    okta_done, aws_done = machine.run("run")
    expected = {"reason": "source-missing", "text": "the table AWSCloudTrail is not in this workspace"}
    assert (okta_done["no_rows"], aws_done["no_rows"]) == (None, expected)
    assert [row["no_rows"] for row in machine.run("status")] == [None, expected]


def test_one_failed_export_does_not_stop_the_others(machine: Machine) -> None:
    """An export of a forbidden table fails alone, with its error in the document; the next run repeats it."""
    machine.api.faults.next(query_fault(403, matching="OktaSystemLogs"))
    failed, done = machine.run("run", code=2)
    assert failed["error"]["kind"] == "ConfigurationError"
    assert "Log Analytics Reader" in failed["error"]["next_step"]
    assert done["error"] is None
    assert len(machine.stage.kept()) == 1
    assert [o["aggregation"] for o in machine.run("run")] == ["okta"]
    assert len(machine.stage.kept()) == 2


def test_an_error_that_stops_several_exports_is_printed_once(machine: Machine) -> None:
    """With the list of the exports; errors that differ are printed each."""
    machine.plan("okta", "box", "usb")
    machine.api.faults.next(query_fault(403), 2)
    machine.api.faults.next(query_fault(404))
    assert machine.run("run", as_json=False, code=2) is None
    assert machine.warnings.count("error: ") == 2
    assert f": this stopped okta of workspace {WORKSPACE}, box of workspace {WORKSPACE}\n" in machine.warnings


def test_a_missing_workspace_does_not_stop_the_others(machine: Machine) -> None:
    """Each workspace has its own exports."""
    machine.plan("okta", workspaces=(OTHER, WORKSPACE))
    missing, done = machine.run("run", code=1)
    assert (missing["workspace"], missing["error"]["kind"]) == (OTHER, "QueryRefused")
    assert (done["workspace"], done["error"]) == (WORKSPACE, None)


def test_a_cursor_in_the_future_is_an_error(machine: Machine) -> None:
    """A clock that was wrong for one run must not stop all later exports silently."""
    machine.run("run")
    (cursor,) = (machine.stage.directory / "outbox").glob("*/cursor-okta-*")
    right = json.dumps(sealed.decode(cursor.read_bytes()))
    cursor.write_bytes(sealed.encode(json.loads(right.replace("2026-11-21T00", "2027-11-21T00"))))
    (failed,) = machine.run("run", code=1)
    assert failed["error"]["kind"] == "DamageError"
    assert "in the future (2027-11-21T00:00:00Z)" in failed["error"]["what"]
    assert failed["error"]["where"] == str(cursor)
    cursor.unlink()
    (again,) = machine.run("run")
    assert again["counts"] == {"read": 1, "shaped": 0, "merged": 0, "skipped": 1, "rejected": 0}
    assert len(machine.stage.kept()) == 2


def test_two_runs_do_not_run_at_once(machine: Machine) -> None:
    """The second process says so and does nothing; after the first has ended it may run."""
    machine.run("run")
    lock = PosixDisk().try_lock(str(machine.stage.directory / "outbox" / "sentinel.lock"))
    assert lock is not None
    assert machine.run("run", code=1)["kind"] == "OutboxBusy"
    lock.release()
    assert machine.run("run") == []


def test_without_a_configuration_the_message_has_a_next_step(tmp_path: Path) -> None:
    """It says where the file is expected, and how to write it."""
    done = CliRunner().invoke(main, ["sentinel", "run", "--config", str(tmp_path / "none.yaml")])
    assert done.exit_code == 2
    assert "docs/sentinel.md" in done.output


def test_a_manual_export(machine: Machine, tmp_path: Path) -> None:
    """It leaves the cursor alone, refuses a part of a window, and has an exit code for errors."""
    at = ("--query-emulator", str(tmp_path / "api"), "--emulator", str(tmp_path / "emulator"))
    outbox = ("--json", "--outbox", str(tmp_path / "outbox"), "sentinel", "export", "okta")

    def export(*words: str, code: int = 0) -> Result:
        done = CliRunner().invoke(main, [*outbox, *at, *words])
        assert done.exit_code == code, done.output
        return done

    part = ("--from", "2026-11-20T00:00:00Z", "--to", "2026-11-20T05:00:00Z")
    assert "whole windows of 1d" in export(*part, code=2).output
    coming = ("--from", "2026-11-20T00:00:00Z", "--to", "2026-11-22T00:00:00Z")
    (early,) = json.loads(export(*coming, code=2).stdout)
    assert "has not ended" in early["error"]["what"]
    (dry,) = json.loads(export("--dry-run").stdout)
    assert (dry["counts"]["shaped"], dry["read_to"]) == (1, None)
    day = ("--from", "2026-11-20T00:00:00Z", "--to", "2026-11-21T00:00:00Z")
    (asked,) = json.loads(export(*day).stdout)
    assert (asked["counts"]["shaped"], asked["read_to"]) == (1, None)
    machine.api.faults.next(query_fault(403))
    (failed,) = json.loads(export(code=2).stdout)
    assert failed["error"]["kind"] == "ConfigurationError"
    (whole,) = json.loads(export().stdout)
    assert (whole["counts"]["skipped"], whole["read_to"]) == (1, "2026-11-21T00:00:00Z")
    assert len(machine.stage.kept()) == 1


def test_a_workspaces_name_is_not_its_id(tmp_path: Path) -> None:
    """Only a GUID becomes part of a request's path; anything else is an error before any sign-in."""
    for wrong in ("contoso-workspace", "x/../y"):
        line = ["--outbox", str(tmp_path / "outbox"), "sentinel", "export", "okta", "--workspace", wrong]
        done = CliRunner().invoke(main, line)
        assert (done.exit_code, "a workspace's ID is a GUID" in done.output) == (2, True)
