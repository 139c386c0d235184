"""The Azure-Sentinel repository's rules for every analytic rule and hunting query, and ours about time."""

import re
import uuid
from collections import Counter
from datetime import timedelta

import pytest
from irmsentinel.content import artefacts as content
from irmsentinel.content import rules
from irmsentinel.content.rules import Rule
from irmsentinel.kql import calls

RULES = rules.load()
ANALYTIC = [rule for rule in RULES if rule.folder == rules.ANALYTIC]
HUNTING = [rule for rule in RULES if rule.folder == rules.HUNTING]
#: A rule selects by time of ingestion, however late a row is; the row can be queried a little after that.
DELAY = timedelta(minutes=10)
#: MITRE ATT&CK: the techniques in use here, with the tactics they serve.
TECHNIQUES = {
    "T1039": {"Collection"},
    "T1048": {"Exfiltration"},
    "T1052": {"Exfiltration"},
    "T1070": {"DefenseEvasion"},
    "T1074": {"Collection"},
    "T1078": {"InitialAccess", "Persistence", "PrivilegeEscalation", "DefenseEvasion"},
    "T1098": {"Persistence", "PrivilegeEscalation"},
    "T1136": {"Persistence"},
    "T1213": {"Collection"},
    "T1219": {"CommandAndControl"},
    "T1485": {"Impact"},
    "T1560": {"Collection"},
    "T1562": {"DefenseEvasion"},
    "T1567": {"Exfiltration"},
}
#: Entity → identifiers that Sentinel knows of it (there is no "UPN").
IDENTIFIERS = {
    "Account": {"FullName", "Name", "NTDomain", "UPNSuffix", "Sid", "AadTenantId", "AadUserId", "ObjectGuid"},
    "Host": {"HostName", "DnsDomain", "NTDomain", "FullName", "AzureID", "OMSAgentID"},
    "IP": {"Address"},
}
CONNECTORS = {
    "OfficeIRM",
    "AzureActiveDirectory",
    "Office365",
    "MicrosoftPurviewInformationProtection",
    "MicrosoftThreatProtection",
    "BehaviorAnalytics",
    "AzureActivity",
}
KNOWN = {
    *("id", "name", "version", "kind", "status", "description", "severity", "requiredDataConnectors"),
    *(
        "queryFrequency",
        "queryPeriod",
        "triggerOperator",
        "triggerThreshold",
        "tactics",
        "relevantTechniques",
    ),
    *("entityMappings", "customDetails", "alertDetailsOverride", "eventGroupingSettings"),
    *("incidentConfiguration", "triage", "story", "returns", "query"),
}
ONLY_ANALYTIC = {
    *("kind", "status", "severity", "queryFrequency", "queryPeriod", "triggerOperator", "triggerThreshold"),
    *("customDetails", "alertDetailsOverride", "eventGroupingSettings", "incidentConfiguration"),
}


def name_of(rule: Rule) -> str:
    """The test ID."""
    return rule.name


def text_of(rule: Rule, key: str) -> timedelta:
    """A duration in the file's format."""
    return calls.span(rule.fields[key])


def columns_of(rule: Rule) -> set[str]:
    """The query's columns, which the checker verifies."""
    return {column.name for column in rule.artefact.returns}


def test_each_has_its_own_id_and_name() -> None:
    """A copy of a neighbour that keeps its GUID or its title would replace the neighbour."""
    ids = Counter(str(uuid.UUID(rule.fields["id"])) for rule in RULES)
    assert set(ids.values()) == {1}
    assert set(Counter(rule.fields["name"] for rule in RULES).values()) == {1}


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_the_repositorys_rules_hold(rule: Rule) -> None:
    """Keys, lengths, characters, tactics, techniques, connectors and entities are as required there."""
    fields = rule.fields
    expected = KNOWN if rule in ANALYTIC else KNOWN - ONLY_ANALYTIC
    assert set(fields) == expected
    assert rule.artefact.text.isascii()
    assert 1 <= len(fields["name"]) <= 256
    assert 1 <= len(fields["description"]) <= (5000 if rule in ANALYTIC else 255)
    assert 1 <= len(fields["query"]) <= 10_000
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    for technique in fields["relevantTechniques"]:
        assert TECHNIQUES[technique] & set(fields["tactics"]), technique
    for tactic in fields["tactics"]:
        assert any(tactic in TECHNIQUES[technique] for technique in fields["relevantTechniques"]), tactic
    assert {each["connectorId"] for each in fields["requiredDataConnectors"]} <= CONNECTORS
    assert 1 <= len(fields["entityMappings"]) <= 5
    for entity in fields["entityMappings"]:
        assert 1 <= len(entity["fieldMappings"]) <= 3
        for mapping in entity["fieldMappings"]:
            assert mapping["identifier"] in IDENTIFIERS[entity["entityType"]]
            assert mapping["columnName"] in columns_of(rule)


@pytest.mark.parametrize("rule", ANALYTIC, ids=name_of)
def test_what_an_alert_shows_is_a_column(rule: Rule) -> None:
    """Custom details, title, description and severity are within limits, and name columns of the query."""
    fields, columns = rule.fields, columns_of(rule)
    assert "TimeGenerated" in columns
    assert len(fields["customDetails"]) <= 20
    for name, column in fields["customDetails"].items():
        assert re.fullmatch(r"\w{1,20}", name)
        assert column in columns
    override = fields["alertDetailsOverride"]
    for key in ("alertDisplayNameFormat", "alertDescriptionFormat"):
        used = re.findall(r"\{\{(\w+)\}\}", override[key])
        assert len(used) <= 3
        assert set(used) <= columns
    assert override.get("alertSeverityColumnName") == ("Severity" if "Severity" in columns else None)
    grouping = fields["incidentConfiguration"]["groupingConfiguration"]
    assert set(grouping["groupByEntities"]) <= {e["entityType"] for e in fields["entityMappings"]}
    assert set(grouping.get("groupByCustomDetails", ())) <= set(fields["customDetails"])
    assert (fields["kind"], fields["severity"] in {"High", "Medium", "Low"}) == ("Scheduled", True)
    assert (fields["triggerOperator"], fields["triggerThreshold"]) == ("gt", 0)


@pytest.mark.parametrize("rule", ANALYTIC, ids=name_of)
def test_the_windows_fit(rule: Rule) -> None:
    """No look-back exceeds queryPeriod, which has room for a run's interval and late rows."""
    frequency, period = text_of(rule, "queryFrequency"), text_of(rule, "queryPeriod")
    assert timedelta(minutes=5) <= frequency <= period <= timedelta(days=14)
    backs = [calls.span(text) for text in re.findall(r"ago\((\w+)\)", rule.fields["query"])]
    assert max(backs) == period
    assert period >= frequency + DELAY


def test_runs_meet_without_a_hole_or_an_overlap() -> None:
    """What is reported once is in a half-open span, as long as the interval of two runs, after the delay."""
    spans = [
        (rule, *found)
        for rule in ANALYTIC
        for found in re.findall(r"> ago\((\w+)\) and \w+ <= ago\((\w+)\)", rule.fields["query"])
    ]
    for rule, start, end in spans:
        assert calls.span(start) - calls.span(end) == text_of(rule, "queryFrequency"), rule.name
        assert calls.span(end) >= DELAY
    assert spans
    # IRMAlertEscalatedOrReopened compares what was known at the two ends of the hour.
    escalated = next(rule for rule in ANALYTIC if rule.name == "IRMAlertEscalatedOrReopened")
    ends = sorted(calls.span(text) for text in re.findall(r"<= ago\((\w+)\)", escalated.fields["query"]))
    assert ends == [DELAY, DELAY + text_of(escalated, "queryFrequency")]


def test_a_rule_needs_no_table() -> None:
    """A rule of a missing table cannot be created: rules read through functions, which allow for it."""
    tables = {path.name.partition(".")[0] for path in (content.root() / "tables").glob("*.json")}
    for rule in ANALYTIC:
        query = re.sub(r'"[^"]*"', "", rule.fields["query"])
        assert not tables & set(re.findall(r"\w+", query)), rule.name
