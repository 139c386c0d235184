"""Azure Resource Manager templates: the functions as savedSearches, the summary rules as summaryLogs.

Promised: made from the content's files alone, the same files give the same bytes; valid against Azure's
published schemas (the tests hold that). Not promised, because not tried: a deployment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from irmsentinel.content.aggregations import SummaryRule
from irmsentinel.content.artefacts import Artefact, Content

API_VERSION = "2025-07-01"
CATEGORY = "Insider Risk Management"
_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def template(content: Content) -> dict[str, Any]:
    """A template that puts every function into a workspace."""
    return _frame([_resource(function) for function in content.functions])


def summary_rules(rules: Iterable[SummaryRule]) -> dict[str, Any]:
    """A template that has a workspace run every summary rule."""
    return _frame([_summary_rule(rule) for rule in rules])


def _frame(resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "$schema": _SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": {
            "workspace": {
                "type": "string",
                "metadata": {"description": "Name of the Log Analytics workspace of Microsoft Sentinel."},
            }
        },
        "resources": resources,
    }


def _summary_rule(rule: SummaryRule) -> dict[str, Any]:
    name = f"irmexport-{rule.name}"
    return {
        "type": "Microsoft.OperationalInsights/workspaces/summaryLogs",
        "apiVersion": API_VERSION,
        "name": f"[concat(parameters('workspace'), '/{name}')]",
        "properties": {
            "ruleType": "User",
            "displayName": name,
            "description": rule.description,
            "ruleDefinition": {
                "query": f"{rule.query}\n",
                "binSize": int(rule.bin.total_seconds() // 60),
                "binDelay": int(rule.delay.total_seconds()),
                "timeSelector": "TimeGenerated",
                "destinationTable": rule.destination,
            },
        },
    }


def _resource(function: Artefact) -> dict[str, Any]:
    return {
        "type": "Microsoft.OperationalInsights/workspaces/savedSearches",
        "apiVersion": API_VERSION,
        "name": f"[concat(parameters('workspace'), '/{function.name}')]",
        "properties": {
            "category": CATEGORY,
            "displayName": function.name,
            "functionAlias": function.name,
            "functionParameters": function.signature,
            "query": f"// {function.summary}\n{function.body}\n",
            "version": 2,
            "etag": "*",
        },
    }
