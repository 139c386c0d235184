"""Azure Resource Manager templates: the functions as savedSearches, the summary rules as summaryLogs.

The same content gives the same bytes. The templates are valid against Azure's published schemas. Not tested:
a deployment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from irmsentinel.content.aggregations import SummaryRule
from irmsentinel.content.artefacts import Artefact, Content

API_VERSION = "2025-07-01"
CATEGORY = "Insider Risk Management"
#: The type of a workspace, and the expression for the ID of the one that the template deploys to.
WORKSPACES = "Microsoft.OperationalInsights/workspaces"
WORKSPACE_ID = f"resourceId('{WORKSPACES}', parameters('workspace'))"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def template(content: Content) -> dict[str, Any]:
    """A template that puts every function into a workspace."""
    return deployment({"workspace": WORKSPACE}, [_resource(function) for function in content.functions])


def summary_rules(rules: Iterable[SummaryRule]) -> dict[str, Any]:
    """A template that puts every summary rule into a workspace."""
    return deployment({"workspace": WORKSPACE}, [_summary_rule(rule) for rule in rules])


def parameter(kind: str, description: str, **more: Any) -> dict[str, Any]:
    """A parameter of a template."""
    return {"type": kind, **more, "metadata": {"description": description}}


def location(description: str) -> dict[str, Any]:
    """The parameter for a region, by default that of the resource group."""
    return parameter("string", description, defaultValue="[resourceGroup().location]")


WORKSPACE = parameter("string", "Name of the Log Analytics workspace of Microsoft Sentinel.")


def deployment(parameters: Mapping[str, Any], resources: Sequence[Any], **more: Any) -> dict[str, Any]:
    """A template; ``more`` are its other sections."""
    head = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "parameters": dict(parameters)}
    return {**head, "resources": list(resources), **more}


def text(document: object) -> str:
    """A document as the text of a file."""
    return json.dumps(document, indent=2) + "\n"


def _summary_rule(rule: SummaryRule) -> dict[str, Any]:
    name = f"irmexport-{rule.name}"
    return {
        "type": f"{WORKSPACES}/summaryLogs",
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
        "type": f"{WORKSPACES}/savedSearches",
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
