"""Incidents and entities of Microsoft Sentinel, in the forms that playbooks hand over.

The incident: learn.microsoft.com/rest/api/securityinsights/incidents/get. Entities of an incident are those
of the API (`kind`, `properties` in camel case); those of an alert have the fields of
learn.microsoft.com/azure/sentinel/entities-reference#account in a list or in JSON text.
"""

from __future__ import annotations

from typing import Any

NAME = "5f0b1c2d-0000-4000-8000-00000000000A"


def incident(**change: Any) -> dict[str, Any]:
    """An incident with these properties instead of the usual ones."""
    properties = {
        "title": "A password was reset by an unusual account",
        "severity": "Medium",
        "status": "New",
        "incidentNumber": 17,
        "createdTimeUtc": "2026-11-20T10:00:00.1234567Z",
        "lastModifiedTimeUtc": "2026-11-20T11:00:00Z",
        "additionalData": {"alertsCount": 2, "alertProductNames": ["Azure Sentinel"]},
        **change,
    }
    return {"id": f"/subscriptions/s/Incidents/{NAME}", "name": NAME, "properties": properties}


def api_account(name: str, suffix: str = "contoso.com", **more: Any) -> dict[str, Any]:
    """An account of an incident."""
    properties = {"accountName": name, "upnSuffix": suffix, "friendlyName": name, **more}
    return {
        "id": "/subscriptions/s/Entities/e", "name": "e2f3-the-entity", "kind": "Account",
        "type": "Microsoft.SecurityInsights/Entities", "properties": properties,
    }  # fmt: skip


def alert_account(name: str, suffix: str = "contoso.com", **more: Any) -> dict[str, Any]:
    """An account of an alert."""
    return {"$id": "1", "Type": "account", "Name": name, "UPNSuffix": suffix, **more}
