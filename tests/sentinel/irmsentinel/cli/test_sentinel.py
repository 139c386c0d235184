"""`irmexport sentinel …` as a user types it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from irmsentinel.content import artefacts

IRMEXPORT = Path(sys.executable).with_name("irmexport")


def irmexport(*arguments: object, code: int = 0) -> str:
    """The output of a command, which must exit with ``code``."""
    done = subprocess.run(
        [IRMEXPORT, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample tables."""
    folder = tmp_path_factory.mktemp("samples") / "tables"
    irmexport("sentinel", "samples", folder, "--people", 2)
    return folder


@pytest.fixture(scope="module")
def emulator(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The emulator of the query API, in its own process."""
    directory = tmp_path_factory.mktemp("api")
    command = [
        IRMEXPORT,
        "sentinel",
        "emulator",
        "--directory",
        directory,
        "--local",
        tables,
        "--lifetime",
        "90",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    assert "not Microsoft's service" in process.stdout.readline()
    yield directory
    process.terminate()
    process.communicate(timeout=30)


def rows(*arguments: object) -> list[dict[str, Any]]:
    """The rows of a query's JSON output."""
    found: list[dict[str, Any]] = json.loads(irmexport("--json", "sentinel", "query", *arguments))
    return found


def test_a_query_gives_the_same_locally_and_through_microsofts_client(tables: Path, emulator: Path) -> None:
    """The emulator serves the rows of the local engine over HTTPS."""
    for call in (["IRMAlerts"], ["IRMAlertTimeline", "--param", "about=SaraD@contoso.com"]):
        here = rows(*call, "--local", tables)
        there = rows(*call, "--emulator", emulator)
        assert len(here) == len(there) > 0
        for one, other in zip(here, there, strict=True):
            assert one.keys() == other.keys()
            assert {k: v for k, v in one.items() if k != "RawData"} == {
                k: v for k, v in other.items() if k != "RawData"
            }


def test_a_query_looks_back_14_days_by_default(tmp_path: Path) -> None:
    """Without --timespan a query reads 14 days, not the whole workspace."""
    alert = {
        "Category": "InsiderRiskManagement",
        "RecordType_d": 40.0,
        "Data_s": '{"userPrincipalName":"a@b"}',
    }
    event = {"OperationName": "x", "InitiatedBy": {"user": {"userPrincipalName": "a@b"}}}
    for table, row in (("Compliance_IRM_AuditGeneral_CL", alert), ("AuditLogs", event)):
        times = ["2026-11-19T12:00:00Z", "2026-11-01T12:00:00Z"]
        lines = [json.dumps({"TimeGenerated": time, **row}) for time in times]
        (tmp_path / f"{table}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "sample.json").write_text('{"now": "2026-11-20T12:00:00+00:00"}')
    assert len(rows("SeedAuditLogs", "--local", tmp_path)) == 1
    assert len(rows("SeedAuditLogs", "--local", tmp_path, "--timespan", "30d")) == 2


def test_a_hunting_query_looks_back_as_far_as_its_file_says(tmp_path: Path) -> None:
    """It reads 90 days unless --timespan is shorter."""
    alerts = [
        {
            "TimeGenerated": f"2026-09-0{day}T12:00:00Z",
            "Category": "InsiderRiskManagement",
            "RecordType": 40,
            "AlertId": f"A{day}",
            "Status": "Dismissed",
            "Data": '{"userPrincipalName":"a@b"}',
        }
        for day in (1, 2, 3)
    ]
    lines = "\n".join(map(json.dumps, alerts))
    (tmp_path / "Compliance_IRM_AuditGeneral_CL.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "sample.json").write_text('{"now": "2026-11-20T12:00:00+00:00"}')
    hunt = ("IRMRepeatedDismissals", "--local", tmp_path)
    assert [row["Dismissed"] for row in rows(*hunt)] == [3]
    assert rows(*hunt, "--timespan", "30d") == []


def test_columns_selects_and_orders_the_columns(tables: Path) -> None:
    """The columns have the order of the option, one line per row."""
    printed = irmexport("sentinel", "query", "IRMAlerts", "--local", tables, "--columns", "AlertId,IsOpen")
    assert printed.splitlines()[:3] == ["IRMAlerts: 5 rows", "  AlertId  IsOpen", "  alert-6   False"]


def test_an_error_names_the_next_step(tables: Path, tmp_path: Path) -> None:
    """The exit code is 1 for data and 2 for a setting."""
    query = ("sentinel", "query")
    assert "Did you mean IRMAlerts?" in irmexport(*query, "IRMAlert", "--local", tables, code=1)
    assert "Did you mean starttime?" in irmexport(
        *query, "IRMAlerts", "--local", tables, "--param", "start=now()", code=2
    )
    assert "Choose one source" in irmexport(*query, "IRMAlerts", code=2)
    assert "Start one" in irmexport(*query, "IRMAlerts", "--emulator", tmp_path, code=2)
    assert "It has: TimeGenerated" in irmexport(
        *query, "IRMAlerts", "--local", tables, "--columns", "Nope", code=2
    )
    assert "needs the table Compliance_IRM_AuditGeneral_CL in its classic shape" in irmexport(
        *query, "SeedAuditLogs", "--local", tables, code=1
    )
    assert "starttime" in irmexport(*query, "IRMAlerts", "--local", tables, "--timespan", "1d", code=2)
    assert "irmexport sentinel samples" in irmexport(*query, "IRMAlerts", "--local", tmp_path, code=1)


def test_the_template_and_the_list_are_written(tmp_path: Path) -> None:
    """The template has exactly the functions that the list has."""
    irmexport("sentinel", "template", tmp_path / "functions.json")
    template = json.loads((tmp_path / "functions.json").read_text())
    listed = json.loads(irmexport("--json", "sentinel", "list"))
    functions = {entry["name"] for entry in listed if entry["parameters"] != "(a query)"}
    assert {r["properties"]["functionAlias"] for r in template["resources"]} == functions


def test_one_file_of_the_content_is_checked() -> None:
    """A file is checked without the others; a file outside the content is an error."""
    root = artefacts.root()
    said = irmexport("sentinel", "check", root / "hunting" / "IRMRepeatedDismissals.yaml")
    assert said == "KQL: 1 artefact checked (1 in hunting/), no findings.\n"
    assert "not part of the content" in irmexport("sentinel", "check", __file__, code=2)


def test_help_loads_neither_duckdb_nor_azure() -> None:
    """`--help` imports no heavy package."""
    ask = (
        "import sys; from irmcli.main import main\n"
        "main(['sentinel', '--help'], standalone_mode=False)\n"
        "print([m for m in ('duckdb', 'azure.core', 'trustme') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout.splitlines()[-1] == "[]"
