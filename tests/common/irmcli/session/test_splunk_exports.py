"""Splunk's own JSON exports through the commands that read files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmcore import profile as profiles

Run = Callable[..., Result]

#: As Splunk Web's export and `search/jobs/export` write it.
LINES = """\
{"preview":false,"offset":0,"result":{"user":"ana.k@contoso.com",\
"_time":"2026-11-20T08:00:00.000+01:00","PredictionScore":"6","ModelInfo":"m1"}}
{"preview":false,"offset":1,"lastrow":true,"result":{"user":"ben.h@contoso.com",\
"_time":"2026-11-20T08:00:00.000+01:00","PredictionScore":"9","ModelInfo":"m1"}}
"""
#: As `search/jobs/SID/results` answers.
DOCUMENT = """\
{"preview":false,"init_offset":0,"messages":[],"fields":[{"name":"user"},{"name":"_time"}],"results":[\
{"UserPrincipalName":"ana.k@contoso.com","PredictionTime":"2026-11-20T08:00:00.000+01:00",\
"PredictionScore":"6","ModelInfo":"m1"},\
{"UserPrincipalName":"ben.h@contoso.com","PredictionTime":"2026-11-20T08:00:00.000+01:00",\
"PredictionScore":"9","ModelInfo":"m1"}],"highlighted":{}}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`irmexport` in a directory with both exports, and the shipped profile with Splunk's field names."""
    monkeypatch.chdir(tmp_path)
    Path("export.jsonl").write_text(LINES)
    Path("results.json").write_text(DOCUMENT)
    shipped = profiles.shipped_text("leaver-prediction")
    for header, field in (("UserPrincipalName", "user"), ("PredictionTime", "_time")):
        shipped = shipped.replace(f"header: {header}\n", f"header: {header}\n    field: {field}\n")
    Path("splunk.yaml").write_text(shipped.replace("name: leaver-prediction", "name: splunk"))

    def irmexport(*args: str) -> Result:
        return CliRunner().invoke(main, list(args))

    return irmexport


@pytest.mark.parametrize("file", ["export.jsonl", "results.json"])
@pytest.mark.parametrize("command", [["check"], ["send", "--dry-run"]])
def test_an_export_is_read(run: Run, file: str, command: list[str]) -> None:
    """Both rows are shaped; user and time come from the fields that the profile names."""
    profile = "splunk.yaml" if file == "export.jsonl" else "leaver-prediction"
    done = run(*command, file, "--profile", profile)
    assert done.exit_code == 0, done.output
    assert "2 rows read: 2 shaped" in done.output


def test_the_user_is_not_taken_from_another_field(run: Run) -> None:
    """A profile that does not name Splunk's field refuses the rows: `user` may be the target of an event."""
    done = run("check", "export.jsonl", "--profile", "leaver-prediction")
    assert done.exit_code == 3
    assert "missing-value  UserPrincipalName     2" in done.output


@pytest.mark.parametrize(
    ("file", "user", "time"),
    [("export.jsonl", "user", "_time"), ("results.json", "UserPrincipalName", "PredictionTime")],
)
def test_a_profile_is_made_from_an_export(run: Run, file: str, user: str, time: str) -> None:
    """The columns are the fields of the results, and the profile reads the export."""
    done = run("--json", "profile", "new", "--from", file, "-o", "new.yaml")
    assert done.exit_code == 0, done.output
    choices = json.loads(done.stdout)["choices"]
    assert (choices["user"]["header"], choices["time"]["header"]) == (user, time)
    assert "2 rows read: 2 shaped" in run("check", file, "--profile", "new.yaml").output


def test_a_number_that_can_be_read_in_two_ways_stops_a_file_not_a_search(run: Run) -> None:
    """In a CSV file it is refused until the profile names the sign; in Splunk's JSON the point is decimal."""
    Path("ways.csv").write_text(
        "UserPrincipalName,PredictionTime,PredictionScore,ModelInfo\n"
        "ana.k@contoso.com,2026-11-20T08:00:00Z,1.250,m1\n"
    )
    done = run("check", "ways.csv", "--profile", "leaver-prediction")
    assert done.exit_code == 3
    assert "number-two-ways  PredictionScore" in done.output
    assert "Set `numbers` under `input.format` in the profile" in done.output
    Path("results.json").write_text(DOCUMENT.replace('"6"', '"1.250"'))
    assert run("check", "results.json", "--profile", "leaver-prediction").exit_code == 0
    told = profiles.shipped_text("leaver-prediction").replace(
        "input:\n", "input:\n  format: {numbers: comma}\n"
    )
    Path("comma.yaml").write_text(told)
    assert "1 row read: 1 shaped" in run("check", "ways.csv", "--profile", "comma.yaml").output
