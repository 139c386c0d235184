"""`irmexport sentinel check --cost`: what queries read, by a model, next to the cheapest way."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from irmcli.main import main
from irmsentinel.content import artefacts, rules
from irmsentinel.kql import cost

HUNT = next(rule.artefact for rule in rules.load() if rule.name == "IRMMassDownloadBeforeAlert")
WEEK = "SigninLogs | where TimeGenerated > ago(9d)"


def taken(body: str) -> tuple[int, int, int, int]:
    """What a query reads and at least, what its joins take and at least."""
    (found,) = cost.of_all(artefacts.load(), [replace(HUNT, body=body)])
    return found.reads, found.reads_at_least, found.joins, found.joins_at_least


def test_no_query_of_ours_takes_three_times_the_cheapest_way() -> None:
    """The command lists every query, the worst first, and finds none above the limit."""
    done = CliRunner().invoke(main, ["--json", "sentinel", "check", "--cost"])
    assert done.exit_code == 0, done.output
    costs = json.loads(done.stdout)
    times = [each["times"] for each in costs]
    assert times == sorted(times, reverse=True)
    assert times[0] <= cost.LIMIT
    names = {each["name"] for each in costs}
    assert {f"{rule.folder}/{rule.name}.yaml" for rule in rules.load()} <= names


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (f"{WEEK} | count", (40_000, 40_000, 40_000, 40_000)),
        ("SigninLogs | count", (400_000, 400_000, 400_000, 400_000)),
        ("SigninLogs | distinct TimeGenerated | where TimeGenerated > ago(9d)", (400_000,) * 4),
        (f"let recent = {WEEK};\nunion (recent | count), (recent | count)", (80_000, 40_000, 80_000, 40_000)),
        (
            f"let recent = materialize({WEEK});\nunion (recent | count), (recent | count)",
            (40_000, 40_000, 40_000, 40_000),
        ),
    ],
    ids=["time", "no time", "time too late", "read twice", "read once"],
)
def test_a_table_is_read_within_its_time_for_each_use(body: str, rows: tuple[int, ...]) -> None:
    """The sign-ins of 9 of 90 days are a tenth, if the filter comes first; a let is read anew at each use."""
    assert taken(body) == rows


def test_the_users_of_the_alerts_come_before_a_join() -> None:
    """A hunt that filters by user only in the join takes all downloads, 25 times those that it needs."""
    known = taken(HUNT.body)
    late = taken(HUNT.body.replace(" and UserPrincipalName in (users)", ""))
    assert late[:2] == known[:2]
    assert late[3] == known[3]
    assert late[2] - known[2] == 1_200_000 - 48_000


def test_a_hunt_need_not_read_before_the_window_of_its_alerts() -> None:
    """Alerts of 30 days and the 30 days before each need 60 days, however many are read."""
    known = taken(HUNT.body)
    longer = taken(HUNT.body.replace("IRMFileActivity(ago(60d)", "IRMFileActivity(ago(90d)"))
    assert longer[0] - known[0] == 600_000
    assert longer[1] == known[1]


def test_a_costly_query_is_an_error(tmp_path: Path) -> None:
    """A hunt of the user's own that joins everybody's downloads ends with 1 and says what to do."""
    (tmp_path / "hunting").mkdir()
    ours = HUNT.path.read_text(encoding="utf-8")
    id_line = next(line for line in ours.splitlines() if line.startswith("id:"))
    text = ours.replace(id_line, f"id: {uuid.UUID(int=7)}").replace("name: IRM -", "name: Mine -")
    file = tmp_path / "hunting" / "MyDownloads.yaml"
    for changed, code in ((text, 0), (text.replace(" and UserPrincipalName in (users)", ""), 1)):
        file.write_text(changed, encoding="utf-8")
        done = CliRunner().invoke(main, ["sentinel", "check", "--cost", "--content", str(tmp_path)])
        assert done.exit_code == code, done.output
    assert "hunting/MyDownloads.yaml" in done.output
    assert "Filter by time and by the alerts' users before a join" in done.output
