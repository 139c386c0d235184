"""Synthetic alerts of Insider Risk Management, as audit records and in Graph, activities, and other records.

The forms are those of Microsoft's published schemas (record type 40; microsoft.graph.security.alert). There
are no public samples of real IRM records or alerts.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

_SPACE = uuid.UUID("0c0ffee0-0000-4000-8000-000000000000")
_ROUND = ("Active", "Investigating", "Resolved")
_POLICIES = ("Data theft by departing users", "Data leaks", "Security policy violations")


def alert_record(number: int, version: int, at: float, tenant_id: str) -> dict[str, Any]:
    """Version ``version`` (0: new) of alert ``number``, created ``at`` (seconds since 1970)."""
    created = datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    data = {
        "userPrincipalName": f"person{number:04}@contoso.com",
        "userId": str(uuid.uuid5(_SPACE, f"person {number}")),
        "activationDateTime": f"{created}Z",
    }
    return {
        "CreationTime": created,
        "Id": str(uuid.uuid5(_SPACE, f"record {number} {version}")),
        "Operation": "AlertTriggered" if version == 0 else "AlertUpdated",
        "OrganizationId": tenant_id,
        "RecordType": 40,
        "ResultStatus": "Succeeded",
        "UserKey": "SecurityComplianceAlerts",
        "UserType": 4,
        "Version": 1,
        "Workload": "SecurityComplianceCenter",
        "ObjectId": data["userPrincipalName"],
        "UserId": "SecurityComplianceAlerts",
        "AlertId": str(uuid.uuid5(_SPACE, f"alert {number}")),
        "AlertLinks": [{"AlertLinkHref": "https://compliance.microsoft.com/insiderriskmgmt"}],
        "AlertType": "Custom",
        "Category": "InsiderRiskManagement",
        "Comments": "New Alert" if version == 0 else "Alert Updated",
        "Data": json.dumps(data),
        "Name": _POLICIES[number % len(_POLICIES)],
        "PolicyId": str(uuid.uuid5(_SPACE, _POLICIES[number % len(_POLICIES)])),
        "Severity": ("High", "Medium", "Low")[number % 3],
        "Source": "Office 365 Security & Compliance",
        "Status": _ROUND[version % len(_ROUND)],
    }


def graph_alert(number: int, version: int, created: float, updated: float) -> dict[str, Any]:
    """Version ``version`` (0: new) of alert ``number`` in Microsoft Graph; the times are seconds since 1970.

    Its evidence has an actor and other things. That ``providerAlertId`` is the audit records' AlertId is
    inferred: nobody publishes it.
    """
    status, classification = (("new", "unknown"), ("inProgress", "unknown"), ("resolved", "truePositive"))[
        version % 3
    ]
    evidence = {"createdDateTime": _graph_time(created), "verdict": "unknown", "remediationStatus": "none"}
    return {
        "@odata.type": "#microsoft.graph.security.alert",
        "id": f"ir{uuid.uuid5(_SPACE, f'alert {number}').hex}_{number}",
        "providerAlertId": str(uuid.uuid5(_SPACE, f"alert {number}")),
        "incidentId": str(1_000 + number),
        "status": status,
        "severity": ("high", "medium", "low")[number % 3],
        "classification": classification,
        "determination": "unknown",
        "serviceSource": "microsoftInsiderRiskManagement",
        "detectionSource": "microsoftInsiderRiskManagement",
        "productName": "Microsoft Purview Insider Risk Management",
        "alertPolicyId": str(uuid.uuid5(_SPACE, _POLICIES[number % len(_POLICIES)])),
        "title": _POLICIES[number % len(_POLICIES)],
        "alertWebUrl": f"https://security.microsoft.com/alerts/{number}",
        "createdDateTime": _graph_time(created),
        "lastUpdateDateTime": _graph_time(updated),
        "resolvedDateTime": _graph_time(updated) if status == "resolved" else None,
        "firstActivityDateTime": _graph_time(created - 86_400),
        "lastActivityDateTime": _graph_time(created - 600),
        "evidence": [
            {
                **evidence,
                "@odata.type": "#microsoft.graph.security.userEvidence",
                "roles": ["policyViolator"],
                "userAccount": {
                    "accountName": f"person{number:04}",
                    "azureAdUserId": str(uuid.uuid5(_SPACE, f"person {number}")),
                    "userPrincipalName": f"Person{number:04}@contoso.com",
                },
            },
            {
                **evidence,
                "@odata.type": "#microsoft.graph.security.cloudApplicationEvidence",
                "roles": ["contextual"],
                "displayName": "Microsoft SharePoint Online",
            },
        ],
    }


def data_security_event(number: int, at: float) -> dict[str, Any]:
    """Activity ``number`` in Defender's DataSecurityEvents, of person ``number``; ``at``: seconds since 1970.

    Columns are those of learn.microsoft.com/defender-xdr/advanced-hunting-datasecurityevents-table. Which of
    them are filled, and that JSON comes as text, is inferred.
    """
    return {
        "Timestamp": _graph_time(at),
        "AccountUpn": f"person{number:04}@contoso.com",
        "AccountObjectId": str(uuid.uuid5(_SPACE, f"person {number}")),
        "ActionType": "File copied to Removable media",
        "ActivityId": str(uuid.uuid5(_SPACE, f"activity {number}")),
        "IrmPolicyMatchInfo": json.dumps([{"PolicyName": _POLICIES[number % len(_POLICIES)]}]),
        "IsHidden": False,
        "ObjectId": f"C:\\Plans\\{number}.docx",
        "ObjectSize": 1_000 + number,
        "SensitivityLabelId": None,
    }


def data_security_behavior(number: int, at: float) -> dict[str, Any]:
    """Behavior ``number`` in DataSecurityBehaviors, of the day that ends ``at``; as `data_security_event`."""
    return {
        "Timestamp": _graph_time(at),
        "StartTime": _graph_time(at - 86_400),
        "EndTime": _graph_time(at),
        "AccountUpn": f"person{number:04}@contoso.com",
        "ActionType": "File copied to Removable media",
        "ActivityCount": 1 + number,
        "BehaviorId": str(uuid.uuid5(_SPACE, f"behavior {number}")),
        "IsAnomalous": number % 2 == 0,
        "RemovableMediaInfo": json.dumps([{"Model": "Ultra"}]),
    }


def _graph_time(at: float) -> str:
    """A time as Graph writes it: seven digits after the second, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def other_record(number: int, at: float, tenant_id: str) -> dict[str, Any]:
    """A record of Audit.General that the collector must skip."""
    created = datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    return {
        "CreationTime": created,
        "Id": str(uuid.uuid5(_SPACE, f"noise {number}")),
        "Operation": "TeamsSessionStarted",
        "OrganizationId": tenant_id,
        "RecordType": 25,
        "UserKey": "u",
        "UserType": 0,
        "Workload": "MicrosoftTeams",
        "UserId": f"person{number % 50:04}@contoso.com",
    }


def blobs_of_three_days(
    now: float, alerts: int, tenant_id: str
) -> Iterator[tuple[float, list[dict[str, Any]]]]:
    """Blobs of three days as (created, records): alerts in up to three versions, unordered, some repeated."""
    for number in range(alerts):
        for version in range(1 + number % 3):
            at = now - 3 * 86_400 + (number * 2_700 + version * 7_200) % 250_000
            records = [
                alert_record(number, version, at, tenant_id),
                other_record(10 * number + version, at, tenant_id),
            ]
            yield at + 3_600, records
            if number % 4 == 0:  # the API delivers some records again, in another blob, later
                again = [dict(reversed(records[0].items()))]
                yield min(at + 30_000, now - 60), again


def graph_alerts_of_three_days(now: float, alerts: int) -> Iterator[dict[str, Any]]:
    """The alerts of `blobs_of_three_days`, as they are now."""
    for number in range(alerts):
        latest = number % 3
        created = now - 3 * 86_400 + (number * 2_700) % 250_000
        yield graph_alert(number, latest, created, created + latest * 7_200)


def activities_of_three_days(now: float, alerts: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """An activity and a behavior of each person of `blobs_of_three_days`, each with its table."""
    for number in range(alerts):
        at = now - 3 * 86_400 + (number * 2_700) % 250_000
        yield "DataSecurityEvents", data_security_event(number, at - 600)
        yield "DataSecurityBehaviors", data_security_behavior(number, at)
