"""Defender's edition: each query binds against Defender's tables, and finds what the workspace's finds."""

import json
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from irmsentinel.content import artefacts, rules, samples, tables
from irmsentinel.content.artefacts import Artefact
from irmsentinel.content.defender import Defender, Edition
from irmsentinel.content.tables import LITERALS
from irmsentinel.kql import parser
from irmsentinel.kql.engine import Engine
from irmsentinel.packaging.custom_detections import daily

from tests.sentinel.defender_rows import PRODUCT, CannotHold, in_defender
from tests.sentinel.fixtures import Case, cases, plain

DEFENDER = Defender.of(artefacts.load())
RULES = {rule.name: rule for rule in rules.load()}
EDITIONS = {name: DEFENDER.edition(rule) for name, rule in RULES.items() if DEFENDER.why_not(rule) is None}
DETECTIONS = [name for name in EDITIONS if RULES[name].folder == rules.ANALYTIC]
#: What is deployed: a rule runs once a day.
DEPLOYED = {
    name: daily(RULES[name], edition) if name in DETECTIONS else edition for name, edition in EDITIONS.items()
}
STORY = samples.story(DEFENDER.content.root)
AUDIT = "Compliance_IRM_AuditGeneral_CL"


def test_what_defender_cannot_run_has_a_reason() -> None:
    """It needs a status of alerts, or tables of the workspace alone; everything else is there."""
    assert {name: reason for name, rule in RULES.items() if (reason := DEFENDER.why_not(rule))} == {
        "IRMAlertEscalatedOrReopened": "AlertInfo has no status, and no row for a change of an alert",
        "IRMAlertUntouched": "AlertInfo has no status",
        "IRMAnomaliesAroundAlert": "BehaviorAnalytics, Anomalies: "
        "Sentinel's UEBA writes into the workspace only",
        "IRMCollectorSilent": "IRMExportHealth_CL: irmexport reports its health to the workspace only",
        "IRMExportFailedOrHeld": "IRMExportHealth_CL: irmexport reports its health to the workspace only",
        "IRMLeaverAnomalies": "the list of leavers is a watchlist, which is in the workspace only",
        "IRMManyIncidentsOneUser": "SecurityIncident, SecurityAlert: "
        "alerts of all products with their incidents are in the workspace only",
        "IRMRepeatedDismissals": "AlertInfo has no status",
    }
    with pytest.raises(ValueError, match="IRMAlertUntouched: AlertInfo has no status"):
        DEFENDER.edition(RULES["IRMAlertUntouched"])


def words(text: str) -> set[str]:
    """The words of KQL outside texts and comments."""
    return set(re.findall(r"\w+", LITERALS.sub("", text)))


def test_a_query_of_ones_own_is_written_or_has_a_reason(tmp_path: Path) -> None:
    """A part of a union that Defender lacks is left out; a table that is read in another way is a reason."""
    mine = "datatable(TimeGenerated:datetime, DeviceName:string)[]"
    guarded = f"union isfuzzy=true ({mine}), (DeviceEvents | project TimeGenerated, DeviceName), (AuditLogs)"
    queries = {
        "MyDevices": f"{guarded}\n  | project DeviceName",
        "MyJoin": "DeviceEvents\n  | join kind=inner AuditLogs on TenantId\n  | project DeviceName",
        "MyTable": "My_CL\n  | project DeviceName",
    }
    ours = RULES["IRMPrintingAroundAlert"].artefact.path.read_text("utf-8").replace("IRM -", "Mine -")
    head = re.sub(r"returns: .*?query: \|\n.*", "", ours, flags=re.DOTALL)
    table = {"Name": "My_CL", "Properties": [{"Name": "DeviceName", "Type": "string"}]}
    for folder in ("hunting", "tables"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tables" / "My_CL.json").write_text(json.dumps(table))
    for name, query in queries.items():
        text = re.sub(r"^id: .*$", f"id: {uuid.uuid4()}", head, count=1, flags=re.MULTILINE)
        body = f"returns: >-\n  DeviceName:string\nquery: |\n  {query}\n"
        (tmp_path / "hunting" / f"{name}.yaml").write_text(text + body)
    defender = Defender.of(artefacts.load(own=tmp_path))
    found = {rule.name: rule for rule in rules.load(tmp_path)}
    edition = defender.edition(found["MyDevices"])
    assert edition.text.split("\n| project")[0] == "DeviceEvents | project Timestamp, DeviceName"
    assert (edition.reads, edition.left_out) == (("DeviceEvents",), ("AuditLogs",))
    assert defender.why_not(found["MyJoin"]) == "AuditLogs: Entra's audit log is in the workspace only"
    assert defender.why_not(found["MyTable"]) == "My_CL: in the workspace only"


@pytest.mark.parametrize("name", EDITIONS)
def test_a_query_has_everything_in_itself(name: str) -> None:
    """No function of a workspace, no table that Defender lacks, and no union that hides a missing one."""
    code = words(EDITIONS[name].text)
    declared = {function.name for function in EDITIONS[name].functions}
    assert code & {function.name for function in DEFENDER.content.functions} == declared
    assert not code & {"TimeGenerated", "isfuzzy", "OfficeActivity", "SigninLogs", *DEFENDER.names["alerts"]}


def test_the_mapping_names_every_table_of_alerts() -> None:
    """What IRMAlerts reads is one of Defender's tables, or one whose alerts AlertInfo has there."""
    bodies = {function.name: words(function.body) for function in DEFENDER.content.functions}
    read = {"IRMAlerts"}
    while further := {word for name in read & bodies.keys() for word in bodies[name]} - read:
        read |= further
    known = {table.name for table in tables.load(DEFENDER.content.root / "tables")}
    assert read & known - DEFENDER.names["tables"].keys() == set(DEFENDER.names["alerts"])


def known(function: Artefact) -> Artefact:
    """The function in Defender, with its columns and without its body."""
    return replace(function, body=function.declaration().body.replace("TimeGenerated", "Timestamp"))


def test_microsofts_parser_binds_each_query_against_defenders_tables() -> None:
    """All in one process, with the columns that are promised; a workspace's column is an error there.

    A function's body is in the first query that calls it. The next ones have its columns instead, which is
    three times as fast.
    """
    tables = [{"name": table.name, "columns": table.declaration} for table in DEFENDER.tables.values()]
    texts: dict[str, str] = {}
    bound: set[str] = set()
    for name, edition in DEPLOYED.items():
        functions = [known(each) if each.name in bound else each for each in edition.functions]
        texts[name] = replace(edition, functions=tuple(functions)).text
        bound |= {each.name for each in functions}
    texts["wrong"] = "AlertInfo | where TimeGenerated > ago(1d)"
    answers = parser.parse(
        Path(sys.executable).with_name("node"),
        Path(sys.prefix) / "kql",
        DEFENDER.content.root / parser.SCRIPT,
        {
            "databases": {"defender": {"tables": tables, "functions": []}},
            "texts": [{"id": name, "database": "defender", "text": text} for name, text in texts.items()],
        },
    )
    assert [each["code"] for each in answers.pop("wrong")["diagnostics"]] == ["KS142"]
    assert {name: answer["diagnostics"] for name, answer in answers.items() if answer["diagnostics"]} == {}
    for name, edition in EDITIONS.items():
        assert tuple(column for column, _ in answers[name]["columns"]) == edition.columns


def chosen() -> Iterator[Case]:
    """Of each query, the first case with a result that Defender's tables can hold."""
    seen = set()
    for case in cases():
        if case.file.stem in EDITIONS.keys() - seen and case.rows:
            try:
                in_defender(DEFENDER, case.tables)
            except CannotHold:
                continue
            seen.add(case.file.stem)
            yield case


CASES = {case.file.stem: case for case in chosen()}


def test_all_but_four_have_a_fixture_that_defender_can_hold() -> None:
    """Those need values that only the workspace has; the story shows what they find."""
    assert EDITIONS.keys() - CASES.keys() == {
        "IRMAlertThenSensitiveChange",
        "IRMLabelDowngradeBeforeAlert",
        "IRMMassDeletionAroundAlert",
        "IRMNewAccountsOrClearedLogsAroundAlert",
    }


def engine(editions: list[Edition], tables: dict[str, list[dict[str, Any]]]) -> Engine:
    """An engine with all of Defender's tables and the editions' functions."""
    functions = {function.name: function for each in editions for function in each.functions}
    opened = Engine(list(functions.values()))
    for name, table in DEFENDER.tables.items():
        rows = tables.get(name, [])
        opened.insert(table, [{key: plain(value) for key, value in row.items()} for row in rows])
    return opened


#: Sara's new sign-in method is in Entra's audit log, which Defender does not have.
OTHERWISE: dict[str, list[str]] = {"IRMAlertThenSensitiveChange": []}


def test_mail_that_is_forwarded_around_an_alert_is_found() -> None:
    """What Defender has of the changes around an alert: an inbox rule's audit record, in CloudAppEvents."""
    edition = DEPLOYED["IRMAlertThenSensitiveChange"]
    alert = {"Timestamp": "2026-11-18T09:00:00Z", "AlertId": "A1", "ServiceSource": PRODUCT}
    record = {"UserId": "Sara@contoso.com", "Id": "e-1", "ResultStatus": "True"}
    rule = {"Name": "ForwardTo", "Value": "sara@example.com"}
    event = {"Timestamp": "2026-11-19T09:00:00Z", "ActionType": "New-InboxRule", "IPAddress": "192.0.2.7"}
    tables = {
        "AlertInfo": [{**alert, "Title": "Leavers", "Severity": "High"}],
        "AlertEvidence": [
            {**alert, "EntityType": "User", "AccountUpn": "sara@contoso.com", "EvidenceRole": "Impacted"},
            {**alert, "EntityType": "User", "AccountUpn": "admin@contoso.com", "EvidenceRole": "Related"},
        ],
        "CloudAppEvents": [
            {**event, "RawEventData": {**record, "Parameters": [rule]}},
            {**event, "RawEventData": {**record, "UserId": "admin@contoso.com", "Parameters": [rule]}},
            {**event, "RawEventData": {**record, "Parameters": [{"Name": "MarkAsRead", "Value": "True"}]}},
        ],
    }
    with engine([edition], tables) as opened:
        result = opened.run(edition.query, now=datetime(2026, 11, 20, 8, tzinfo=UTC))
    names = [column.name for column in result.columns]
    (row,) = result.rows
    found = {
        name: plain(row[names.index(name)]) for name in ("Timestamp", "AccountUpn", "Change", "IPAddress")
    }
    assert found == {
        "Timestamp": "2026-11-18T09:00:00Z",
        "AccountUpn": "sara@contoso.com",
        "Change": "mail forwarding",
        "IPAddress": "192.0.2.7",
    }


@pytest.fixture(scope="module")
def month() -> Iterator[tuple[Engine, set[datetime]]]:
    """The story in Defender's tables, and the times of its alerts. An alert has its first version only."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for file in sorted((DEFENDER.content.root / "samples" / "story").glob("*.jsonl")):
        if file.stem in {*DEFENDER.names["tables"], AUDIT}:
            tables[file.stem] = [
                timed(row) for line in file.read_text("utf-8").splitlines() for row in repeated(line)
            ]
    firsts: dict[str, dict[str, Any]] = {}
    for row in tables[AUDIT]:
        firsts.setdefault(row["AlertId"], row)
    tables[AUDIT] = [{**row, "Status": "Active"} for row in firsts.values()]
    made = in_defender(DEFENDER, tables, strict=False)
    with engine(list(EDITIONS.values()), made) as opened:
        yield opened, {row["Timestamp"] for row in made["AlertInfo"]}


def repeated(line: str) -> Iterator[dict[str, Any]]:
    """A line of the story, as often as it says."""
    for number in range(json.loads(line).get("_times", 1)):
        row: dict[str, Any] = json.loads(line.replace("{n}", str(number)))
        row.pop("_times", None)
        yield row


def timed(row: dict[str, Any]) -> dict[str, Any]:
    """A row with times instead of texts."""
    times = ("TimeGenerated", "CreationTime")
    return row | {name: datetime.fromisoformat(row[name]) for name in times if name in row}


@pytest.mark.parametrize("name", EDITIONS)
def test_a_query_finds_in_defender_what_the_workspaces_finds(
    name: str, month: tuple[Engine, set[datetime]]
) -> None:
    """It gives the rows of its fixture, but for what AlertInfo cannot fill, and the story's people.

    The Timestamp of a detection is an alert's own. Both runs are in one test: what takes long is to translate
    the query, which the engine remembers for the next run.
    """
    edition = EDITIONS[name]
    if name in CASES:
        case = CASES[name]
        shown = [each for each in case.columns if each not in {*DEFENDER.names["without"], "TimeGenerated"}]
        with engine([edition], in_defender(DEFENDER, case.tables)) as opened:
            result = opened.run(edition.query, now=case.now)
        at = [[column.name for column in result.columns].index(edition.name(each)) for each in shown]
        expected = [[plain(row[case.columns.index(each)]) for each in shown] for row in case.rows]
        assert sorted(repr([plain(row[i]) for i in at]) for row in result.rows) == sorted(map(repr, expected))
    story, alert_times = month
    result = story.run(DEPLOYED[name].query, now=STORY[name].at)
    names = [column.name for column in result.columns]
    people = sorted({row[names.index("AccountUpn")] for row in result.rows})
    assert people == OTHERWISE.get(name, STORY[name].who)
    if name in DETECTIONS:
        assert {row[names.index("Timestamp")] for row in result.rows} <= alert_times


@pytest.mark.parametrize("name", DETECTIONS)
def test_the_daily_runs_meet_without_a_hole_or_an_overlap(name: str) -> None:
    """A rule that reports what arrived since its last run does so once a day."""
    spans = re.findall(r"> ago\((\w+)\) and \w+ <= ago\((\w+)\)", DEPLOYED[name].query)
    assert spans
    minutes = {"m": 1, "h": 60, "d": 1440}
    for start, end in spans:
        length = int(start[:-1]) * minutes[start[-1]] - int(end[:-1]) * minutes[end[-1]]
        assert timedelta(minutes=length) == timedelta(days=1)
