"""The Sentinel solution as one template, ``azuredeploy.json``: deploying it creates everything at once.

The same content gives the same bytes. Not tested: a deployment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from irmsentinel.content import aggregations, rules, workbooks
from irmsentinel.content.artefacts import Content
from irmsentinel.packaging import arm, arm_collection, resources

#: The parameters for the parts that not every workspace needs.
_TABLES, _SUMMARY_RULES = "deployTables", "deploySummaryRules"


def deployment(content: Content) -> dict[str, Any]:
    """``azuredeploy.json``: functions, rules, hunting queries, workbooks and the optional parts."""
    collection = arm_collection.template(content)
    summary_rules = arm.summary_rules(aggregations.summary_rules(*content.folders).values())
    found = rules.load(*content.folders)
    return arm.deployment(
        {
            "workspace": arm.WORKSPACE,
            "location": arm.location("Region of the workspace."),
            "enableRules": _choice("Whether the analytic rules run from the start. Review them first."),
            _TABLES: _choice("Whether to create the collector's tables and their data collection rules."),
            _SUMMARY_RULES: _choice(
                "Whether to create the summary rules for sources that are too large to export directly."
            ),
        },
        [
            *(_guarded(_TABLES, resource) for resource in collection["resources"]),
            *(_guarded(_SUMMARY_RULES, resource) for resource in summary_rules["resources"]),
            *arm.template(content)["resources"],
            *(resources.alert_rule(content, rule) for rule in found if rule.folder == rules.ANALYTIC),
            *(resources.hunting_query(rule) for rule in found if rule.folder == rules.HUNTING),
            *(resources.workbook(book) for book in workbooks.load(*content.folders)),
        ],
        outputs={name: _guarded(_TABLES, value) for name, value in collection["outputs"].items()},
    )


def _choice(description: str) -> dict[str, Any]:
    return arm.parameter("bool", description, defaultValue=False)


def _guarded(choice: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """With the condition. An output needs it too, because it reads a resource that may not exist."""
    return {**part, "condition": f"[parameters('{choice}')]"}
