"""The fixtures, tested: a KQL body without one key or predicate must fail its fixture."""

from dataclasses import replace

import pytest
from irmcore.errors import IrmError
from irmsentinel.content import artefacts as content
from irmsentinel.content import rules

from tests.sentinel.fixtures import Case, cases, holds, run

CASES = list(cases())

#: artefact, what stands in its body, what is put there, how the fixture's case begins that must notice.
MUTATIONS = [
    ("IRMAlerts", 'StatusRank, "|",\n    DeliveryKey', 'StatusRank, "|"', "of two versions created"),
    ("IRMAlerts", "by SourceTable, AlertId, VersionKey", "by AlertId, VersionKey", "two alerts"),
    ("IRMAlerts", "by SourceTable, AlertId, VersionKey", "by SourceTable, VersionKey", "two alerts"),
    ("IRMAlerts", "spans on SourceTable, AlertId", "spans on AlertId", "two alerts"),
    ("IRMAlerts", "users on SourceTable, AlertId", "users on AlertId", "two alerts"),
    ("IRMAlerts", "triggers on SourceTable, AlertId", "triggers on AlertId", "two alerts"),
    (
        "IRMAlerts",
        "extend UserKey = coalesce(UserPrincipalName, AadUserId)",
        "extend UserKey = UserPrincipalName",
        "an alert that names only an object id",
    ),
    ("IRMAlertsFromSecurityAlert", "users on SystemAlertId, TimeGenerated", "users on SystemAlertId", "each"),
    ("IRMAlertsFromSecurityAlert", "kind=leftouter users", "kind=inner users", "each"),
    ("IRMOtherSecurityAlerts", '"Microsoft 365 Insider Risk Management", ', "", "every"),
    ("IRMNewHighSeverityAlert", "FirstSeen > ago(2h)", "FirstSeen >= ago(2h)", "first seen in the hour"),
    ("IRMNewHighSeverityAlert", "FirstSeen <= ago(1h)", "FirstSeen < ago(1h)", "first seen in the hour"),
    ("IRMAlertEscalatedOrReopened", "| where LastUpdated == Newest", "", "an older version"),
    ("IRMAlertEscalatedOrReopened", " and not(WasOpen)", "", "neither"),
    ("IRMAlertAndRiskySignin", "TriggerTime + 24h", "TriggerTime + 23h", "24 hours"),
    ("IRMCollectorSilent", "LastHeartbeat <= ago(3h)", "LastHeartbeat < ago(3h)", "its last"),
    ("IRMAlertsIdentity", "isnotempty(AccountUPN)", "true", "a row before"),
    (
        "IRMAlertsIdentity",
        "iff(coalesce(IsNamed, false), UserPrincipalName, AadUserId)",
        "UserPrincipalName",
        "an alert whose name the directory has not",
    ),
    (
        "IRMAlertsOtherAlerts",
        "by AlertId, SourceTable, OtherAlertId",
        "by AlertId, OtherAlertId",
        "an alert known to two tables",
    ),
    ("IRMAlertsOtherAlerts", " and isempty(OtherUpn)", "", "an alert known to two tables"),
    (
        "IRMAlertsSignins",
        "between ((TriggerTime - before) .. (TriggerTime + after))",
        "> TriggerTime - before",
        "each alert",
    ),
    ("IRMAlertsSignins", "by AlertId, AlertSource, Location", "by AlertId, Location", "each alert"),
    (
        "IRMAlertsSignins",
        "networks on AlertId, AlertSource, Network",
        "networks on AlertId, Network",
        "each alert",
    ),
    (
        "IRMAlertsSignins",
        "devices on AlertId, AlertSource, Device",
        "devices on AlertSource, Device",
        "each alert",
    ),
    (
        "IRMUserTimeline",
        "IRMAlerts(starttime, endtime, true)",
        "IRMAlerts(starttime, endtime)",
        "every version",
    ),
]


def fails(case: Case, mutated: content.Content) -> bool:
    """Whether the case detects it."""
    try:
        return not holds(case, run(case, mutated))
    except IrmError:
        return True


@pytest.mark.parametrize(
    ("name", "old", "new", "noticed_by"), MUTATIONS, ids=[f"{name}: {old}" for name, old, _, _ in MUTATIONS]
)
def test_each_part_of_a_query_matters_to_its_fixture(name: str, old: str, new: str, noticed_by: str) -> None:
    """A fixture that passes with and without a part does not test that part."""
    loaded = rules.with_rules(content.load())
    body = loaded.named(name).body
    assert body.count(old) == 1, "the body has changed: change the mutation"
    mutated = replace(
        loaded,
        artefacts=tuple(
            replace(a, body=body.replace(old, new)) if a.name == name else a for a in loaded.artefacts
        ),
    )
    chosen = [case for case in CASES if case.file.stem == name and case.what.startswith(noticed_by)]
    assert any(fails(case, mutated) for case in chosen)
