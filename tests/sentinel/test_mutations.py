"""The fixtures, tested: a KQL body without one key or predicate must fail its fixture."""

import pytest
from irmcore.errors import IrmError

from tests.sentinel.fixtures import Case, cases, holds, key_of, queries, run

CASES = cases()

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
    ("IRMAlertsFromSecurityAlert", "RowTime) on SystemAlertId, RowTime", "RowTime) on SystemAlertId", "each"),
    ("IRMAlertsFromSecurityAlert", "kind=leftouter (possible", "kind=inner (possible", "each"),
    ("IRMOtherSecurityAlerts", 'coalesce(ProductName, "") has "Insider Risk" or ', "", "every"),
    ("IRMNewHighSeverityAlert", "FirstSeen > ago(70m)", "FirstSeen >= ago(70m)", "first seen in the hour"),
    ("IRMNewHighSeverityAlert", "FirstSeen <= ago(10m)", "FirstSeen < ago(10m)", "first seen in the hour"),
    ("IRMAlertEscalatedOrReopened", " or isnotempty(ClosedOrder)", "", "an escalation and"),
    ("IRMAlertEscalatedOrReopened", "on AlertId, TableRank", "on AlertId", "what is undone"),
    ("IRMAlertEscalatedOrReopened", "not(WasOpen)", "true", "neither"),
    ("IRMAlertAndRiskySignin", "AlertTime + 24h", "AlertTime + 23h", "from 7 days"),
    ("IRMCollectorSilent", "LastHeartbeat <= ago(3h)", "LastHeartbeat < ago(3h)", "its last"),
    ("IRMAlertsIdentity", "isnotempty(UserPrincipalName)", "true", "a row before"),
    (
        "IRMAlertsIdentity",
        "iff(coalesce(IsKnownId, false), AadUserId, NameKey)",
        "NameKey",
        "an alert whose name the directory has not",
    ),
    ("IRMAlertsOtherAlerts", "| where isempty(AadUserId) or isempty(OtherObjectId)", "", "by object id"),
    ("IRMAlertsSignins", "IRMDistinctAlerts(", "IRMAlerts(", "an alert in two tables"),
    ("IRMAlertsSignins", "| where isempty(AadUserId) or isempty(AadUserId1)", "", "an alert with only"),
    ("IRMAlertsAuditLogs", "| where isempty(AadUserId) or isempty(AadUserId1)", "", "an alert with only"),
    ("IRMAlertsAuditLogs", ", (withId | project Key = AadUserId)", "", "an alert under the user's old name"),
    ("IRMAlertAndRiskySignin", "IRMDistinctAlerts(", "IRMAlerts(", "an alert in two tables"),
    ("IRMAlertUntouched", "IRMDistinctAlerts(", "IRMAlerts(", "an alert in two tables"),
    ("IRMAlerts", " and KnownAt < Day + 1d", "", "an object id gets the name"),
    ("IRMDistinctAlerts", "not(InAudit and InAudit1) and ", "", "two alerts of one policy"),
    ("IRMDistinctAlerts", "HasUser and TableRank == TopUserRank", "HasUser", "an alert with an actor"),
    ("IRMAlerts", "iff(isempty(LinkedId), AlertId, LinkedId)", "AlertId", "an id of another table"),
    ("IRMDistinctAlerts", "FirstSeen = SeenFirst", "FirstSeen", "an alert in three tables"),
    ("IRMAccountNames", "SureUpns > 1,", "false,", "a user principal name that two"),
    (
        "IRMAccountNames",
        " and not(TakenOver), CurrentName",
        ", CurrentName",
        "a user principal name that a new",
    ),
    ("IRMAccountNames", "(Holders == 1 and UndatedMayUpns == 0)", "true", "before the first row"),
    ("IRMAccountNames", " + 30m and", " and", "a change that IdentityInfo saw"),
    ("IRMAccountNames", "Actives == 1 and Candidates == 1", "Actives == 1", "a change that IdentityInfo saw"),
    ("IRMAccountNames", " and UnseenActives == 0", "", "an address on the day of the first row"),
    ("IRMAccountNames", "countif(Sure and Enabled)", "countif(Sure)", "of twins"),
    ("IRMAccountNames", "(namings | where not(Deleted))", "namings", "a deleted user"),
    ("IRMAccountNames", 'iff(isnotempty(AccountSID), AccountName, "")', "AccountName", "a cloud account's"),
    ("IRMAccountNames", 'iff(isempty(ObjectId), "", coalesce(Upn, ""))', 'coalesce(Upn, "")', "a guest"),
    ("IRMAccountNames", 'Living == 1, LivingPerson, ""', '""', "an object created again"),
    (
        "IRMAlertsSignins",
        "between ((AlertTime - before) .. (AlertTime + after))",
        "> AlertTime - before",
        "each alert",
    ),
    ("IRMAlertsSignins", "by AlertId, UserKey, Location", "by Location", "each alert"),
    (
        "IRMAlertsSignins",
        "AadUserId, UserKey, AlertTime",
        'AadUserId, UserKey = "", AlertTime',
        "of an alert about",
    ),
    (
        "IRMAlertsSignins",
        "networks on AlertId, UserKey, Network",
        "networks on Network",
        "each alert",
    ),
    (
        "IRMAlertsSignins",
        "devices on AlertId, UserKey, Device",
        "devices on Device",
        "each alert",
    ),
    (
        "IRMPersonalMailAroundAlert",
        "let withId = alerts | where isnotempty(AadUserId)",
        "let withId = alerts",
        "alerts of 30",
    ),
    (
        "IRMPrintingAroundAlert",
        "let withName = alerts | where isnotempty(UserPrincipalName)",
        "let withName = alerts",
        "alerts of 30",
    ),
    ("IRMLabelDowngradeBeforeAlert", "| where TimeGenerated > ago(60d)", "", "alerts of 30"),
    ("IRMArchivesAroundAlert", "ago(30d)", "ago(31d)", "alerts of 30"),
    ("IRMExportFailedOrHeld", "ago(4d)", "ago(5d)", "a missing source"),
    (
        "IRMAlertAndRiskySignin",
        "IRMRiskySignins(ago(14d)",
        "IRMRiskySignins(ago(15d)",
        "alerts and sign-ins of",
    ),
    ("sentinel-alerts", "AggregationDate + 1d", "AggregationDate + 2d", "an alert counts once"),
    ("salesforce", "% parts == part", "% parts != part", "of the same events"),
    ("web-proxy-summary", "ActivityCount > 0", "ActivityCount > 1", "a day's megabyte"),
    (
        "IRMAlertTimeline",
        "IRMAlerts(starttime, endtime, true)",
        "IRMAlerts(starttime, endtime)",
        "every version",
    ),
]


def fails(case: Case, body: str) -> bool:
    """Whether the case detects the changed body of its query."""
    try:
        return not holds(case, run(case, {key_of(case): body}))
    except IrmError:
        return True


@pytest.mark.parametrize(
    ("name", "old", "new", "noticed_by"), MUTATIONS, ids=[f"{name}: {old}" for name, old, _, _ in MUTATIONS]
)
def test_each_part_of_a_query_matters_to_its_fixture(name: str, old: str, new: str, noticed_by: str) -> None:
    """A fixture that passes with and without a part does not test that part."""
    body = next(query.body for query in queries() if query.key.endswith(f"/{name}"))
    assert body.count(old) == 1, "the body has changed: change the mutation"
    chosen = [case for case in CASES if case.file.stem == name and case.what.startswith(noticed_by)]
    assert any(fails(case, body.replace(old, new)) for case in chosen)
