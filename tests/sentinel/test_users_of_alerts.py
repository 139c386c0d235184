"""Whom an alert of Graph is about: one table for Python (Splunk's events, the canary) and for KQL."""

from datetime import UTC, datetime
from pathlib import Path

from irmcore import alert_list

from tests.sentinel.fixtures import Case, run
from tests.users_of_alerts import ABOUT

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_python_names_the_actor_or_nobody() -> None:
    """Of the actor and the target it is the actor; in doubt it is nobody."""
    found = {what: alert_list.user_of({"evidence": case.evidence}) for what, case in ABOUT.items()}
    assert found == {what: case.user for what, case in ABOUT.items()}


def test_kql_names_the_actor_or_nobody() -> None:
    """Of the actor and the target it is the actor; in doubt it is nobody, or any of those listed."""
    alert = {"TimeGenerated": NOW, "ServiceSource": alert_list.SERVICE_SOURCE}
    rows = [
        {
            **alert,
            "AlertId": what,
            "UserEvidence": [one for one in case.evidence if alert_list.is_about_a_user(one)],
        }
        for what, case in ABOUT.items()
    ]
    columns = ["AlertId", "UserPrincipalName", "AadUserId", "PossibleUsers"]
    call = "IRMAlerts(ago(1d), now())"
    case = Case(Path("parsers/IRMAlerts.yaml"), "", NOW, {"IRMAlertsGraph_CL": rows}, call, columns, [], {})
    found: dict[str, list[list[str]]] = {what.lower(): [] for what in ABOUT}
    users: dict[str, str | None] = dict.fromkeys(found)
    for alert_id, name, object_id, possible in run(case):
        found[alert_id].append([name, object_id])
        users[alert_id] = name if name and not possible else None
    assert {what: sorted(accounts) for what, accounts in found.items()} == {
        what.lower(): sorted(case.accounts) for what, case in ABOUT.items()
    }
    assert users == {what.lower(): case.user for what, case in ABOUT.items()}
