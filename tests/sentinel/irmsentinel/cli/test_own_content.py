"""Content of a user's own, in a folder beside irmexport's: checked, run, listed and packaged with it."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from irmcli.main import main
from irmcore.errors import ConfigurationError, DataError
from irmsentinel.content import aggregations, artefacts, rules, workbooks
from irmsentinel.export import plan
from irmsentinel.kql import translation
from irmsentinel.packaging import content_hub, solution

ROOT = artefacts.root()
HUNT, AGGREGATION = "IRMMassDownloadBeforeAlert", "okta"
WORKSPACE = "00000000-0000-0000-0000-00000000c0de"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a copy of a neighbour of each kind, and a table that only this user has."""
    folder = tmp_path / "mine"
    for kind in ("hunting", "parsers", "aggregations", "tables", "workbooks"):
        (folder / kind).mkdir(parents=True)
    hunt = (ROOT / "hunting" / f"{HUNT}.yaml").read_text(encoding="utf-8")
    id_line = next(line for line in hunt.splitlines() if line.startswith("id:"))
    copy = hunt.replace(id_line, f"id: {uuid.UUID(int=7)}").replace("name: IRM -", "name: Mine -")
    (folder / "hunting" / "MyDownloads.yaml").write_text(copy)
    (folder / "tables" / "MyBadge_CL.json").write_text(
        json.dumps(
            {
                "Name": "MyBadge_CL",
                "Properties": [
                    {"Name": "TimeGenerated", "Type": "datetime"},
                    {"Name": "Upn", "Type": "string"},
                ],
            }
        )
    )
    (folder / "parsers" / "MyBadges.kql").write_text(
        "// Badges.\n//\n// parameters: starttime:datetime\n// returns: TimeGenerated:datetime, Upn:string\n"
        "union isfuzzy=true (datatable(TimeGenerated:datetime, Upn:string)[]),\n"
        "    (MyBadge_CL | project TimeGenerated, Upn)\n| where TimeGenerated > starttime\n"
        "| project TimeGenerated, Upn = tostring(Upn)\n"
    )
    okta = (ROOT / "aggregations" / f"{AGGREGATION}.yaml").read_text(encoding="utf-8")
    (folder / "aggregations" / "my-okta.yaml").write_text(okta)
    shutil.copy(ROOT / "workbooks" / "IRMExportHealth.json", folder / "workbooks" / "MyHealth.json")
    return folder


def sentinel(*words: object, code: int = 0) -> Any:
    """The JSON document of a command of the group; it must end with that code."""
    done = CliRunner().invoke(main, ["--json", "sentinel", *map(str, words)])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_what_is_right_has_no_findings(own: Path) -> None:
    """By Microsoft's parser and by the local engine, together with the content that it calls."""
    assert sentinel("check", "--content", own) == []


def test_without_microsofts_parser_the_rest_is_checked(own: Path, tmp_path: Path) -> None:
    """As after an installation from the wheel; a warning says what was not checked."""
    arguments = ["sentinel", "check", "--content", str(own), "--modules", str(tmp_path / "none")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "warning: Microsoft's parser is not installed" in done.stderr
    assert "1 in hunting/" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "place", "what"),
    [
        ("| where TimeGenerated > starttime", "| mv-apply U = Upn on (take 1)", (7, 3), "`mv-apply`"),
        ("| where TimeGenerated > starttime", "| where Badge > 1", (7, 9), "there is no column `Badge`"),
        ("| where TimeGenerated > starttime", "| where TimeGenerated >", (8, 1), "it does not parse"),
    ],
)
def test_a_mistake_has_file_line_and_column(
    own: Path, old: str, new: str, place: tuple[int, int], what: str
) -> None:
    """And the unsupported construct as it is written, also without Microsoft's parser."""
    file = own / "parsers" / "MyBadges.kql"
    file.write_text(file.read_text().replace(old, new))
    found = sentinel("check", "--content", own, "--modules", own / "none", code=1)
    (local,) = [one for one in found if one["code"] == "LE1"]
    assert (local["path"], local["line"], local["column"]) == (str(file), *place)
    assert what in local["message"]


def test_what_it_calls_of_irmexports_is_not_translated_again(own: Path, tmp_path: Path) -> None:
    """That took most of the time: a function that the local engine cannot run still has its columns."""
    content = tmp_path / "content"
    for kind in ("parsers", "enrichment", "published", "tables", "hunting"):
        shutil.copytree(ROOT / kind, content / kind)
    function = content / "parsers" / "IRMFileActivity.kql"
    function.write_text(function.read_text().replace("| where", "| serialize\n| where", 1))
    loaded = rules.with_rules(artefacts.load(content, own))
    assert list(translation.refused(loaded, [loaded.named("MyDownloads")])) == []
    refused = list(translation.refused(loaded, [loaded.named("IRMFileActivity")]))
    assert ["serialize" in finding.message for finding in refused] == [True]


def test_a_copy_of_a_neighbour_keeps_neither_name_nor_id(own: Path) -> None:
    """Nothing of irmexport's content is replaced silently."""
    shutil.copy(ROOT / "hunting" / f"{HUNT}.yaml", own / "hunting" / "Another.yaml")
    with pytest.raises(DataError, match="has the same id"):
        rules.load(ROOT, own)
    (own / "hunting" / "Another.yaml").unlink()
    (own / "parsers" / "MyBadges.kql").rename(own / "parsers" / "IRMAlerts.kql")
    with pytest.raises(DataError, match="has the same name"):
        artefacts.load(own=own)
    shutil.copy(ROOT / "aggregations" / "okta.yaml", own / "aggregations")
    with pytest.raises(ConfigurationError, match="has the same name"):
        aggregations.load(ROOT, own)


def test_it_is_listed_and_runs(own: Path, tmp_path: Path) -> None:
    """Functions, hunting queries and aggregations, on tables of the user's own."""
    assert {"MyBadges", "MyDownloads"} <= {row["name"] for row in sentinel("list", "--content", own)}
    listed = sentinel("aggregations", "--content", own)
    assert "my-okta" in {row["name"] for row in listed}
    tables = tmp_path / "rows"
    tables.mkdir()
    (tables / "MyBadge_CL.jsonl").write_text(
        '{"TimeGenerated": "2026-11-20T08:00:00Z", "Upn": "sarad@contoso.com"}\n'
    )
    at = ("--param", "starttime=2026-11-19T00:00:00Z", "--local", tables, "--content", own)
    rows = sentinel("query", "MyBadges", *at)
    assert [row["Upn"] for row in rows] == ["sarad@contoso.com"]


def test_a_plan_names_its_folder(own: Path, tmp_path: Path) -> None:
    """``content`` is relative to the plan; an aggregation of the folder reads the tables of both."""
    file = tmp_path / "sentinel.yaml"
    file.write_text(
        f"schema: 1\ncontent: mine\nworkspaces: [{WORKSPACE}]\nexports:\n- aggregation: my-okta\n"
    )
    (job,) = plan.read(file).jobs
    assert job.aggregation.path == own / "aggregations" / "my-okta.yaml"
    assert job.aggregation.tables == ("Okta_CL", "OktaV2_CL", "OktaSystemLogs")
    file.write_text(file.read_text().replace("mine", "nowhere"))
    with pytest.raises(DataError, match="the folder has no content"):
        plan.read(file)


def test_it_is_packaged_with_the_rest(own: Path) -> None:
    """The template and the content hub package have its functions, queries and workbooks too."""
    loaded = artefacts.load(own=own)
    ours = artefacts.load()
    for build in (solution.deployment, lambda content: content_hub.package(content, "1.0.0")):
        added = str(build(loaded))
        assert "MyBadges" in added
        assert str(uuid.UUID(int=7)) in added
        assert "MyHealth" in added
        assert "MyBadges" not in str(build(ours))
    assert len(workbooks.load(*loaded.folders)) == len(workbooks.load()) + 1
