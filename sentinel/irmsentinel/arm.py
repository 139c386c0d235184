"""The functions as an Azure Resource Manager template: one savedSearches resource each.

Promised: made from the KQL files alone, the same files give the same bytes; valid against Azure's
published schemas (the tests hold that). Not promised, because not tried: a deployment.
"""

from __future__ import annotations

from typing import Any

from irmsentinel.content import Artefact, Content

API_VERSION = "2025-07-01"
CATEGORY = "Insider Risk Management"
_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def template(content: Content) -> dict[str, Any]:
    """A template that puts every function into a workspace."""
    return {
        "$schema": _SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": {
            "workspace": {
                "type": "string",
                "metadata": {"description": "Name of the Log Analytics workspace of Microsoft Sentinel."},
            }
        },
        "resources": [_resource(function) for function in content.functions],
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
