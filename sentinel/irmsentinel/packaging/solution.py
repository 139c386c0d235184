"""The Sentinel solution as one template, ``azuredeploy.json``: everything is there once it is deployed.

Promised: the same content gives the same bytes; a rule depends on every function that it calls, directly or
not, as a rule whose function is missing is refused. Not promised, because not tried: a deployment.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from irmsentinel.content import aggregations, rules, workbooks
from irmsentinel.content.artefacts import Content
from irmsentinel.content.rules import Rule
from irmsentinel.content.workbooks import Workbook
from irmsentinel.packaging import arm, arm_collection

#: A workbook's resource is named by a guid: made of this one and the workbook's name.
NAMESPACE = uuid.UUID("0b6c3f1c-7f4e-4c55-9f0a-5b6f2b0f7a5e")
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
WORKSPACES = "Microsoft.OperationalInsights/workspaces"
_RULE_VERSION = "2025-09-01"
_WORKBOOK_VERSION = "2021-08-01"
_WORD = re.compile(r"\w+")
_OPERATORS = {"gt": "GreaterThan", "lt": "LessThan", "eq": "Equal", "ne": "NotEqual"}
_DURATION = re.compile(r"(\d+)([dhm])")


@dataclass(frozen=True)
class Fragment:
    """Resources that are deployed only if the parameter says so."""

    parameter: str
    description: str
    resources: Sequence[Mapping[str, Any]]
    outputs: Mapping[str, Mapping[str, Any]]


def optional(content: Content) -> list[Fragment]:
    """What not every workspace needs, each part behind a parameter of its own."""
    rules_of_summary = aggregations.summary_rules().values()
    collection = arm_collection.template(content)
    return [
        Fragment(
            "deployTables",
            "Whether to make the collector's tables and their data collection rules.",
            collection["resources"],
            collection["outputs"],
        ),
        Fragment(
            "deploySummaryRules",
            "Whether to make the summary rules of sources that are too large to export.",
            arm.summary_rules(rules_of_summary)["resources"],
            {},
        ),
    ]


def deployment(content: Content) -> dict[str, Any]:
    """``azuredeploy.json``: functions, rules, hunting queries, workbooks, and the optional parts."""
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
    found = rules.load(content.root)
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": {
            "workspace": said("string", "Name of the Log Analytics workspace of Microsoft Sentinel."),
            "location": {
                **said("string", "Region of the workspace."),
                "defaultValue": "[resourceGroup().location]",
            },
            "enableRules": {
                **said("bool", "Whether the analytic rules run from the start."),
                "defaultValue": True,
            },
            **choices,
        },
        "resources": [
            *guarded,
            *arm.template(content)["resources"],
            *(_rule(content, rule) for rule in found if rule.folder == rules.ANALYTIC),
            *(hunting(rule) for rule in found if rule.folder == rules.HUNTING),
            *(workbook(book) for book in workbooks.load(content.root)),
        ],
        "outputs": {
            name: _guarded(fragment, value)
            for fragment in fragments
            for name, value in fragment.outputs.items()
        },
    }


def _guarded(fragment: Fragment, part: Mapping[str, Any]) -> dict[str, Any]:
    """An output needs the condition too: it asks a resource that may not be there."""
    return {**part, "condition": f"[parameters('{fragment.parameter}')]"}


def called_by(content: Content, text: str) -> list[str]:
    """The functions that a query calls, directly or not, in the order of the content."""
    functions = {function.name: function for function in content.functions}
    found: set[str] = set()
    unread = [text]
    while unread:
        names = set(_WORD.findall(unread.pop())) & functions.keys()
        unread += [functions[name].body for name in names - found]
        found |= names
    return [name for name in functions if name in found]


def plain(rule: Rule) -> str:
    """A rule's query without the indent that it has in its file."""
    return "\n".join(line.removeprefix("  ") for line in rule.artefact.body.splitlines()) + "\n"


def duration(text: str) -> str:
    """`14d` as ISO 8601 has it."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is no duration")
    return f"P{match[1]}D" if match[2] == "d" else f"PT{match[1]}{match[2].upper()}"


def said(kind: str, description: str) -> dict[str, Any]:
    """A parameter of a template."""
    return {"type": kind, "metadata": {"description": description}}


def _rule(content: Content, rule: Rule) -> dict[str, Any]:
    workspace = f"'{WORKSPACES}/savedSearches', parameters('workspace')"
    return {
        "type": f"{WORKSPACES}/providers/alertRules",
        "apiVersion": _RULE_VERSION,
        "name": f"[concat(parameters('workspace'), '/Microsoft.SecurityInsights/{rule.fields['id']}')]",
        "kind": "Scheduled",
        "dependsOn": [
            f"[resourceId({workspace}, '{name}')]" for name in called_by(content, rule.artefact.body)
        ],
        "properties": {"enabled": "[parameters('enableRules')]", **scheduled(rule)},
    }


def scheduled(rule: Rule) -> dict[str, Any]:
    """What a rule and its template have in common."""
    fields = rule.fields
    return {
        "displayName": fields["name"],
        "description": fields["description"],
        "severity": fields["severity"],
        "query": plain(rule),
        "queryFrequency": duration(fields["queryFrequency"]),
        "queryPeriod": duration(fields["queryPeriod"]),
        "triggerOperator": _OPERATORS[fields["triggerOperator"]],
        "triggerThreshold": fields["triggerThreshold"],
        "suppressionEnabled": False,
        "suppressionDuration": "PT5H",
        "tactics": fields["tactics"],
        "techniques": fields["relevantTechniques"],
        "entityMappings": fields["entityMappings"],
        "customDetails": fields["customDetails"],
        "alertDetailsOverride": fields["alertDetailsOverride"],
        "eventGroupingSettings": fields["eventGroupingSettings"],
        "incidentConfiguration": fields["incidentConfiguration"],
    }


def _search(rule: Rule) -> dict[str, Any]:
    tags = {
        "description": rule.fields["description"],
        "tactics": ",".join(rule.fields["tactics"]),
        "techniques": ",".join(rule.fields["relevantTechniques"]),
    }
    return {
        "etag": "*",
        "displayName": rule.fields["name"],
        "category": "Hunting Queries",
        "query": plain(rule),
        "version": 2,
        "tags": [{"name": name, "value": value} for name, value in tags.items()],
    }


def hunting(rule: Rule) -> dict[str, Any]:
    """A hunting query is a saved search of a certain category."""
    return {
        "type": f"{WORKSPACES}/savedSearches",
        "apiVersion": arm.API_VERSION,
        "name": f"[concat(parameters('workspace'), '/{rule.fields['id']}')]",
        "properties": _search(rule),
    }


def workbook(book: Workbook) -> dict[str, Any]:
    """A workbook of the workspace, shared by all who may read it."""
    return {
        "type": "Microsoft.Insights/workbooks",
        "apiVersion": _WORKBOOK_VERSION,
        "name": str(uuid.uuid5(NAMESPACE, book.name)),
        "location": "[parameters('location')]",
        "kind": "shared",
        "properties": {
            "displayName": book.title,
            "description": book.about,
            "serializedData": book.text,
            "version": "1.0",
            "category": "sentinel",
            "sourceId": f"[resourceId('{WORKSPACES}', parameters('workspace'))]",
        },
    }
