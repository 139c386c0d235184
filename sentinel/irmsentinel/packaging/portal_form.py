"""``createUiDefinition.json``: the portal's form, which asks for the workspace and lists the content."""

from __future__ import annotations

from typing import Any

from irmsentinel.content.artefacts import Content
from irmsentinel.packaging.content_items import ContentItem, content_items

_SCHEMA = "https://schema.management.azure.com/schemas/0.1.2-preview/CreateUIDefinition.MultiVm.json#"
_LABELS = {
    "Workbook": "Workbooks",
    "AnalyticsRule": "Analytics",
    "HuntingQuery": "Hunting Queries",
}


def portal_form(content: Content) -> dict[str, Any]:
    """The form for this content."""
    by_kind: dict[str, list[ContentItem]] = {}
    for item in content_items(content):
        by_kind.setdefault(item.kind, []).append(item)
    counts = ", ".join(f"{label}: {len(by_kind[kind])}" for kind, label in _LABELS.items())
    workspaces = "Microsoft.OperationalInsights/workspaces?api-version=2020-08-01"
    return {
        "$schema": _SCHEMA,
        "handler": "Microsoft.Azure.CreateUIDef",
        "version": "0.1.2-preview",
        "parameters": {
            "config": {
                "isWizard": False,
                "basics": {
                    "description": f"Insider Risk Management alerts in Microsoft Sentinel. {counts}.",
                    "subscription": {
                        "resourceProviders": [
                            "Microsoft.OperationalInsights/workspaces/providers/alertRules",
                            "Microsoft.Insights/workbooks",
                        ]
                    },
                    "location": {
                        "metadata": {"hidden": "The workspace's location applies."},
                        "visible": False,
                    },
                    "resourceGroup": {"allowExisting": True},
                },
            },
            "basics": [
                {
                    "name": "getLAWorkspace",
                    "type": "Microsoft.Solutions.ArmApiControl",
                    "toolTip": "The workspaces in the resource group.",
                    "condition": "[greater(length(resourceGroup().name),0)]",
                    "request": {
                        "method": "GET",
                        "path": f"[concat(subscription().id,'/providers/{workspaces}')]",
                    },
                },
                {
                    "name": "workspace",
                    "type": "Microsoft.Common.DropDown",
                    "label": "Workspace",
                    "placeholder": "Select a workspace",
                    "toolTip": "The workspace with Microsoft Sentinel.",
                    "constraints": {
                        "allowedValues": (
                            "[map(filter(basics('getLAWorkspace').value, (filter) => contains("
                            "toLower(filter.id), toLower(resourceGroup().name))), (item) => parse(concat("
                            '\'{"label":"\', item.name, \'","value":"\', item.name, \'"}\')))]'
                        ),
                        "required": True,
                    },
                    "visible": True,
                },
            ],
            "steps": [_step(kind, label, by_kind[kind]) for kind, label in _LABELS.items()],
            "outputs": {
                "workspace-location": (
                    "[first(map(filter(basics('getLAWorkspace').value, (filter) => and(contains("
                    "toLower(filter.id), toLower(resourceGroup().name)), equals(filter.name, "
                    "basics('workspace')))), (item) => item.location))]"
                ),
                "location": "[location()]",
                "workspace": "[basics('workspace')]",
            },
        },
    }


def _step(kind: str, label: str, items: list[ContentItem]) -> dict[str, Any]:
    """The page of the form that lists the items of one kind."""
    name = kind.lower()
    return {
        "name": name,
        "label": label,
        "bladeTitle": label,
        "elements": [
            {
                "name": f"{name}{number}",
                "type": "Microsoft.Common.Section",
                "label": item.title,
                "elements": [
                    {
                        "name": f"{name}{number}-text",
                        "type": "Microsoft.Common.TextBlock",
                        "options": {"text": item.about},
                    }
                ],
            }
            for number, item in enumerate(items, start=1)
        ],
    }
