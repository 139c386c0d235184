"""The tables that rows come into, and the data collection rules that fill them, as an ARM template.

Promised: made from ``tables/`` and ``dcr/`` alone, the same files give the same bytes; valid against Azure's
published schemas (the tests hold that, and name the two words those lack). Not promised, because not tried: a
deployment.
"""

from __future__ import annotations

from typing import Any

from irmsentinel.content import transforms
from irmsentinel.content.artefacts import Content
from irmsentinel.content.transforms import Transform
from irmsentinel.packaging import arm

API_VERSION = "2024-03-11"
#: Kusto's type → a table's and a rule's word for it, where it is another one.
_IN_TABLE = {"datetime": "dateTime", "bool": "boolean"}
_IN_RULE = {"bool": "boolean"}


def template(content: Content) -> dict[str, Any]:
    """A template that makes the tables of ``dcr/`` in a workspace, and a data collection rule for each."""
    found = transforms.load(content.root)
    frame = arm.template(content)
    location = {
        "type": "string",
        "defaultValue": "[resourceGroup().location]",
        "metadata": {"description": "Region of the workspace: the rules must be in the same one."},
    }
    return {
        **frame,
        "parameters": {**frame["parameters"], "location": location},
        "resources": [resource for one in found for resource in (_table(one), _rule(one))],
        "outputs": {name: value for one in found for name, value in _outputs(one)},
    }


def _table(one: Transform) -> dict[str, Any]:
    columns = [{"name": c.name, "type": _IN_TABLE.get(c.type, c.type)} for c in one.table.columns]
    return {
        "type": "Microsoft.OperationalInsights/workspaces/tables",
        "apiVersion": arm.API_VERSION,
        "name": f"[concat(parameters('workspace'), '/{one.table.name}')]",
        "properties": {"plan": "Analytics", "schema": {"name": one.table.name, "columns": columns}},
    }


def _rule(one: Transform) -> dict[str, Any]:
    """A rule of kind Direct: it has an ingestion endpoint of its own."""
    table, workspace = one.table.name, "Microsoft.OperationalInsights/workspaces"
    declared = [{"name": c.name, "type": _IN_RULE.get(c.type, c.type)} for c in one.columns]
    return {
        "type": "Microsoft.Insights/dataCollectionRules",
        "apiVersion": API_VERSION,
        "name": _rule_name(one),
        "location": "[parameters('location')]",
        "kind": "Direct",
        "dependsOn": [f"[resourceId('{workspace}/tables', parameters('workspace'), '{table}')]"],
        "properties": {
            "streamDeclarations": {one.stream: {"columns": declared}},
            "destinations": {
                "logAnalytics": [
                    {
                        "name": "workspace",
                        "workspaceResourceId": f"[resourceId('{workspace}', parameters('workspace'))]",
                    }
                ]
            },
            "dataFlows": [
                {
                    "streams": [one.stream],
                    "destinations": ["workspace"],
                    "transformKql": one.kql,
                    "outputStream": one.stream,
                }
            ],
        },
    }


def _rule_name(one: Transform) -> str:
    return f"irmexport-{one.table.name.replace('_', '-')}"


def _outputs(one: Transform) -> list[tuple[str, dict[str, str]]]:
    """What the collector's settings ask for."""
    name = f"resourceId('Microsoft.Insights/dataCollectionRules', '{_rule_name(one)}')"
    rule = f"reference({name}, '{API_VERSION}')"
    return [
        (f"{one.table.name}_rule_id", {"type": "string", "value": f"[{rule}.immutableId]"}),
        (f"{one.table.name}_endpoint", {"type": "string", "value": f"[{rule}.endpoints.logsIngestion]"}),
    ]
