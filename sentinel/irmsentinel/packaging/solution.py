"""The Sentinel solution as one template, ``azuredeploy.json``: deploying it creates everything at once.

The same content gives the same bytes. Not tested: a deployment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from irmsentinel.content import aggregations, rules, workbooks
from irmsentinel.content.artefacts import Content
from irmsentinel.packaging import arm, arm_collection, resources


@dataclass(frozen=True)
class Fragment:
    """Resources that are deployed only if ``parameter`` is true."""

    parameter: str
    description: str
    resources: Sequence[Mapping[str, Any]]
    outputs: Mapping[str, Mapping[str, Any]]


def optional(content: Content) -> list[Fragment]:
    """The parts that not every workspace needs, each with a parameter of its own."""
    summary_rules = aggregations.summary_rules(*content.folders).values()
    collection = arm_collection.template(content)
    return [
        Fragment(
            "deployTables",
            "Whether to create the collector's tables and their data collection rules.",
            collection["resources"],
            collection["outputs"],
        ),
        Fragment(
            "deploySummaryRules",
            "Whether to create the summary rules for sources that are too large to export directly.",
            arm.summary_rules(summary_rules)["resources"],
            {},
        ),
    ]


def deployment(content: Content) -> dict[str, Any]:
    """``azuredeploy.json``: functions, rules, hunting queries, workbooks and the optional parts."""
    fragments = optional(content)
    choices = {
        fragment.parameter: {
            "type": "bool",
            "defaultValue": False,
            "metadata": {"description": fragment.description},
        }
        for fragment in fragments
    }
    guarded = [_guarded(fragment, resource) for fragment in fragments for resource in fragment.resources]
    found = rules.load(*content.folders)
    return {
        "$schema": arm.SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": {
            "workspace": arm.parameter(
                "string", "Name of the Log Analytics workspace of Microsoft Sentinel."
            ),
            "location": {
                **arm.parameter("string", "Region of the workspace."),
                "defaultValue": "[resourceGroup().location]",
            },
            "enableRules": {
                **arm.parameter("bool", "Whether the analytic rules run from the start. Review them first."),
                "defaultValue": False,
            },
            **choices,
        },
        "resources": [
            *guarded,
            *arm.template(content)["resources"],
            *(resources.alert_rule(content, rule) for rule in found if rule.folder == rules.ANALYTIC),
            *(resources.hunting_query(rule) for rule in found if rule.folder == rules.HUNTING),
            *(resources.workbook(book) for book in workbooks.load(*content.folders)),
        ],
        "outputs": {
            name: _guarded(fragment, value)
            for fragment in fragments
            for name, value in fragment.outputs.items()
        },
    }


def _guarded(fragment: Fragment, part: Mapping[str, Any]) -> dict[str, Any]:
    """With the condition. An output needs it too, because it reads a resource that may not exist."""
    return {**part, "condition": f"[parameters('{fragment.parameter}')]"}
