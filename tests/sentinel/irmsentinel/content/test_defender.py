"""Defender's edition: each query binds against Defender's tables, and finds what the workspace's finds."""

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from irmsentinel.content import artefacts, rules, samples
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


@pytest.mark.parametrize("name", EDITIONS)
def test_a_query_has_everything_in_itself(name: str) -> None:
    """No function of a workspace, no table that Defender lacks, and no union that hides a missing one."""
    code = words(EDITIONS[name].text)
    declared = {function.name for function in EDITIONS[name].functions}
    assert code & {function.name for function in DEFENDER.content.functions} == declared
    assert not code & {"TimeGenerated", "isfuzzy", "OfficeActivity", "SigninLogs", AUDIT, "SecurityAlert"}


def test_microsofts_parser_binds_each_query_against_defenders_tables() -> None:
    """All in one process, with the columns that are promised; a workspace's column is an error there."""
    tables = [{"name": table.name, "columns": table.declaration} for table in DEFENDER.tables.values()]
    texts = {name: edition.text for name, edition in DEPLOYED.items()}
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


CASES = list(chosen())


def test_all_but_four_have_a_fixture_that_defender_can_hold() -> None:
    """Those need values that only the workspace has; the story shows what they find."""
    assert EDITIONS.keys() - {case.file.stem for case in CASES} == {
        "IRMAlertThenSensitiveChange",
        "IRMLabelDowngradeBeforeAlert",
        "IRMMassDeletionAroundAlert",
        "IRMNewAccountsOrClearedLogsAroundAlert",
    }


@pytest.mark.parametrize("case", CASES, ids=[f"{case.file.stem}: {case.what}" for case in CASES])
def test_a_query_gives_the_rows_of_its_fixture(case: Case) -> None:
    """The fixture's rows in Defender's columns give the same result, but for what AlertInfo cannot fill."""
    edition = EDITIONS[case.file.stem]
    shown = [name for name in case.columns if name not in {*DEFENDER.names["without"], "TimeGenerated"}]
    expected = [[plain(row[case.columns.index(name)]) for name in shown] for row in case.rows]
    with engine([edition], in_defender(DEFENDER, case.tables)) as opened:
        result = opened.run(edition.query, now=case.now)
    at = [[column.name for column in result.columns].index(edition.name(name)) for name in shown]
    assert sorted(repr([plain(row[i]) for i in at]) for row in result.rows) == sorted(map(repr, expected))


def engine(editions: list[Edition], tables: dict[str, list[dict[str, Any]]]) -> Engine:
    """An engine with Defender's tables that the editions read, and their functions."""
    opened = Engine(
        list({function.name: function for each in editions for function in each.functions}.values())
    )
    named = words("\n".join(each.text for each in editions))
    for name, table in DEFENDER.tables.items():
        if name in named:
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
            {**alert, "AccountUpn": "sara@contoso.com", "EvidenceRole": "Impacted"},
            {**alert, "AccountUpn": "admin@contoso.com", "EvidenceRole": "Related"},
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
def test_the_story_has_the_same_people_in_defender(name: str, month: tuple[Engine, set[datetime]]) -> None:
    """Each rule and hunting query finds exactly the people of its part; a rule's Timestamp is an alert's."""
    opened, alert_times = month
    result = opened.run(DEPLOYED[name].query, now=STORY[name].at)
    names = [column.name for column in result.columns]
    assert sorted({row[names.index("AccountUpn")] for row in result.rows}) == OTHERWISE.get(
        name, STORY[name].who
    )
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
