"""Synthetic audit records: Insider Risk Management alerts, and other records around them.

The form is that of Microsoft's published schema (record type 40). There are no public samples of real IRM
records.
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
