"""Health rows of exports, through real clients to an emulator, and the analytic rule on them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmsentinel.content import artefacts as content
from irmsentinel.content import rules, tables
from irmsentinel.emulators.collector_services import CollectorServicesEmulator
from irmsentinel.emulators.collector_session import running_emulator
from irmsentinel.export import health as export_health
from irmsentinel.export.outcome import ExportRun
from irmsentinel.kql import calls
from irmsentinel.kql.engine import Engine

from tests.fakes.emulated_faults import azure_fault, query_fault
from tests.sentinel.irmsentinel.export.exports import WORKSPACE, Stage, api, okta

TABLE = "IRMExportHealth_CL"
NAME = f"okta {WORKSPACE} sentinel-activity"
ROWS: dict[str, list[dict[str, Any]]] = {"OktaSystemLogs": [okta("2026-11-20T08:00:00Z")]}


class Machine:
    """A machine with the three emulators, whose configuration names the destination of health rows."""

    def __init__(self, stage: Stage, emulator: CollectorServicesEmulator, directory: Path) -> None:
        self.stage, self.emulator, self._directory = stage, emulator, directory
        self.plan("health: tenant/collector.yaml")

    def plan(self, *more: str) -> None:
        """Export Okta's events."""
        self.plan_of("okta", *more)

    def plan_of(self, aggregation: str, *more: str) -> None:
        """Export one aggregation."""
        health = more or ("health: tenant/collector.yaml",)
        lines = ["schema: 1", *health, f"workspaces: [{WORKSPACE}]"]
        lines += ["exports:", f"- aggregation: {aggregation}", ""]
        (self._directory / "sentinel.yaml").write_text("\n".join(lines))

    def run(self, *words: str, code: int = 0) -> Result:
        """A command of the group with all emulators; it must end with that code."""
        there = self._directory
        at = ["--query-emulator", there / "api", "--emulator", there / "emulator"]
        at += ["--health-emulator", there / "tenant"]
        if words[0] == "run":
            at += ["--config", there / "sentinel.yaml"]
        line = ["--json", "--outbox", there / "outbox", "sentinel", *words, *at]
        done = CliRunner().invoke(main, list(map(str, line)))
        assert done.exit_code == code, done.output
        return done

    def health_rows(self, component: str = "export") -> list[dict[str, Any]]:
        """The rows of the table that a component wrote."""
        return [row for row in self.emulator.ingestion.rows[TABLE] if row["Component"] == component]

    def reported(self) -> list[tuple[str, str, str]]:
        """What the analytic rule IRMExportFailedOrHeld finds: component, name, trouble."""
        loaded = rules.with_rules(content.load())
        rule = loaded.named("IRMExportFailedOrHeld")
        known = tables.shapes(tables.load(loaded.root / "tables"))
        with Engine(loaded.local_functions()) as engine:
            engine.insert(known[TABLE][""], self.emulator.ingestion.rows[TABLE])
            result = engine.run(calls.text(rule, {}), now=datetime.now(UTC) + timedelta(minutes=1))
        at = [[c.name for c in result.columns].index(name) for name in ("Component", "Name", "Trouble")]
        return [(row[at[0]], row[at[1]], row[at[2]]) for row in result.rows]


@pytest.fixture
def query_api(tmp_path: Path) -> Iterator[Any]:
    """The emulator of the query API."""
    with api(ROWS, tmp_path / "api") as there:
        yield there


@pytest.fixture
def machine(tmp_path: Path, query_api: Any) -> Iterator[Machine]:
    """A machine that is ready to run."""
    with Stage(tmp_path).running() as stage, running_emulator(tmp_path / "tenant", alerts=0) as emulator:
        yield Machine(stage, emulator, tmp_path)


def test_a_run_writes_health_rows(machine: Machine) -> None:
    """A run that reads writes a run and a heartbeat, otherwise only a heartbeat. The rule does not fire."""
    machine.run("run")
    heartbeat, run = machine.health_rows()
    assert (heartbeat["Event"], run["Event"]) == ("heartbeat", "run")
    assert (run["Name"], run["Result"], run["Rows"], run["Batches"], run["Held"], run["Failed"]) == (
        *(NAME, "ok", 1, 0),
        *(0, 0),
    )
    assert run["LagSeconds"] > 0
    assert run["LastSuccess"] <= run["TimeGenerated"]
    assert run["Details"]["read_to"] == "2026-11-21T00:00:00+00:00"
    assert {row["Result"] for row in machine.health_rows("sender")} == {"ok"}
    machine.run("run")
    assert [(row["Event"], row["Rows"]) for row in machine.health_rows()[2:]] == [("heartbeat", 0)]
    assert machine.reported() == []


def test_a_failed_export_is_reported_until_it_succeeds(machine: Machine, query_api: Any) -> None:
    """The analytic rule fires on the failure, and stops after a successful run."""
    query_api.faults.next(query_fault(403))
    machine.run("run", code=2)
    assert [(row["Event"], row["Result"], row["Reason"]) for row in machine.health_rows()] == [
        ("heartbeat", "failed", "ConfigurationError"),
        ("failed", "failed", "ConfigurationError"),
    ]
    assert machine.reported() == [("export", NAME, "failed")]
    machine.run("run")
    assert machine.reported() == []


def test_a_missing_source_is_reported_with_each_heartbeat(machine: Machine) -> None:
    """As the reason, with the tables in the details, which the workbook IRMExportHealth shows."""
    machine.plan_of("aws")
    machine.run("run")
    machine.run("run")
    rows = machine.health_rows()
    assert [(row["Event"], row["Result"], row["Reason"]) for row in rows] == [
        ("heartbeat", "ok", "source-missing"),
        ("run", "ok", "source-missing"),
        ("heartbeat", "ok", "source-missing"),
    ]
    missing = "the table AWSCloudTrail is not in this workspace"
    assert {row["Details"]["source"] for row in rows} == {missing}


def test_queued_rows_are_reported(machine: Machine) -> None:
    """What is queued after the run makes the result `waiting`."""
    machine.run("run", "--queue-only")
    assert [(row["Result"], row["Batches"]) for row in machine.health_rows()] == [("waiting", 1)] * 2


def test_a_manual_export_writes_no_heartbeat(machine: Machine, tmp_path: Path) -> None:
    """It reports what it did if it has a destination for health rows. A dry run reports nothing."""
    health = ("--health", str(tmp_path / "tenant" / "collector.yaml"))
    machine.run("export", "okta", *health, "--dry-run")
    assert machine.health_rows() == []
    machine.run("export", "okta", *health)
    assert [(row["Name"], row["Event"], row["Rows"]) for row in machine.health_rows()] == [(NAME, "run", 1)]
    assert machine.health_rows("sender") == []


def test_health_rows_that_cannot_be_written_stop_nothing(machine: Machine, tmp_path: Path) -> None:
    """Missing or invalid settings are a warning without any value, and the rows are delivered."""
    machine.plan("health: none.yaml")
    done = machine.run("run")
    assert "warning: IRMExportHealth_CL was not written: " in done.stderr
    assert "none.yaml" in done.stderr
    assert len(machine.stage.kept()) == 1
    machine.plan("health: tenant/collector.yaml")
    (tmp_path / "tenant" / "collector.yaml").write_text("secret: hunter2\n")
    done = machine.run("run")
    assert "unknown key `secret` in the collector settings file" in done.stderr
    assert "hunter2" not in done.output


def test_health_rows_wait_while_their_workspace_is_unavailable(machine: Machine) -> None:
    """They are durable before they are sent, and the next run sends them."""
    machine.emulator.faults.next(azure_fault("upload", 503), 9)
    machine.run("run")
    assert machine.health_rows() == []
    machine.emulator.faults.clear()
    line = ["--outbox", str(machine.stage.directory / "outbox"), "resume"]
    assert CliRunner().invoke(main, line).exit_code == 0
    machine.run("run")
    assert [row["Event"] for row in machine.health_rows()] == ["heartbeat", "run", "heartbeat"]


def test_a_damaged_cursor_is_reported_as_a_failure(machine: Machine) -> None:
    """The outcome has the error, and the cursor is unknown."""
    machine.run("run")
    (cursor,) = (machine.stage.directory / "outbox").glob("*/cursor-okta-*")
    cursor.write_text("{")
    machine.run("run", code=1)
    (last,) = [row for row in machine.health_rows() if row["Event"] == "failed"]
    assert (last["Result"], last["Reason"], last.get("LastSuccess")) == ("failed", "DamageError", None)


def test_an_export_without_an_outbox_has_a_name() -> None:
    """If the profile cannot be read, there is no outbox."""
    ran = ExportRun("okta", WORKSPACE, "profiles/mine.yaml", None, None)
    health_rows = export_health.event(ran, None, 0.0)
    assert (health_rows.name, health_rows.result, health_rows.batches) == (f"okta {WORKSPACE} mine", "ok", 0)
