"""An ARM template of the collector's tables and the data collection rules that fill them.

The same files in ``tables/`` and ``dcr/`` give the same bytes. The template is valid against Azure's
published schemas; the tests name the two words that the schemas lack. Not tested: a deployment.
"""

from __future__ import annotations

from typing import Any

from irmsentinel.content import transforms
from irmsentinel.content.artefacts import Content
from irmsentinel.content.transforms import Transform
from irmsentinel.packaging import arm

API_VERSION = "2024-03-11"
#: Kusto's type → its name in a table and in a rule, where the names differ.
_IN_TABLE = {"datetime": "dateTime", "bool": "boolean"}
_IN_RULE = {"bool": "boolean"}


def template(content: Content) -> dict[str, Any]:
    """A template that creates the tables of ``dcr/`` and a data collection rule for each."""
    found = transforms.load(content.root)
    return arm.deployment(
        {
            "workspace": arm.WORKSPACE,
            "location": arm.location("Region of the workspace. The rules must be in the same region."),
        },
        [resource for transform in found for resource in (_table(transform), _rule(transform))],
        outputs={name: value for transform in found for name, value in _outputs(transform)},
    )


def _table(transform: Transform) -> dict[str, Any]:
    columns = [{"name": c.name, "type": _IN_TABLE.get(c.type, c.type)} for c in transform.table.columns]
    return {
        "type": f"{arm.WORKSPACES}/tables",
        "apiVersion": arm.API_VERSION,
        "name": f"[concat(parameters('workspace'), '/{transform.table.name}')]",
        "properties": {"plan": "Analytics", "schema": {"name": transform.table.name, "columns": columns}},
    }


def _rule(transform: Transform) -> dict[str, Any]:
    """A rule of kind Direct, which has an ingestion endpoint of its own."""
    table, workspace = transform.table.name, arm.WORKSPACES
    declared = [{"name": c.name, "type": _IN_RULE.get(c.type, c.type)} for c in transform.columns]
    return {
        "type": "Microsoft.Insights/dataCollectionRules",
        "apiVersion": API_VERSION,
        "name": f"[{_rule_name(transform)}]",
        "location": "[parameters('location')]",
        "kind": "Direct",
        "dependsOn": [f"[resourceId('{workspace}/tables', parameters('workspace'), '{table}')]"],
        "properties": {
            "streamDeclarations": {transform.stream: {"columns": declared}},
            "destinations": {
                "logAnalytics": [{"name": "workspace", "workspaceResourceId": f"[{arm.WORKSPACE_ID}]"}]
            },
            "dataFlows": [
                {
                    "streams": [transform.stream],
                    "destinations": ["workspace"],
                    "transformKql": transform.kql,
                    "outputStream": transform.stream,
                }
            ],
        },
    }


def _rule_name(transform: Transform) -> str:
    """An expression. The rules of two workspaces in one resource group have different names."""
    return f"concat('irmexport-{transform.table.name.replace('_', '-')}-', uniqueString({arm.WORKSPACE_ID}))"


def _outputs(transform: Transform) -> list[tuple[str, dict[str, str]]]:
    """The values that the collector's settings need."""
    name = f"resourceId('Microsoft.Insights/dataCollectionRules', {_rule_name(transform)})"
    rule = f"reference({name}, '{API_VERSION}')"
    values = {"rule_id": f"[{rule}.immutableId]", "endpoint": f"[{rule}.endpoints.logsIngestion]"}
    return [(f"{transform.table.name}_{key}", {"type": "string", "value": v}) for key, v in values.items()]
