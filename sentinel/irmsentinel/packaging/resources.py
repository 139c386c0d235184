"""Azure resources of the content: analytic rules, hunting queries and workbooks."""

from __future__ import annotations

import re
from typing import Any

from irmsentinel.content import artefacts
from irmsentinel.content.artefacts import Content
from irmsentinel.content.rules import Rule
from irmsentinel.content.workbooks import Workbook
from irmsentinel.packaging import arm
from irmsentinel.packaging.arm import WORKSPACE_ID, WORKSPACES

_RULE_VERSION = "2025-09-01"
_WORKBOOK_VERSION = "2021-08-01"
_OPERATORS = {"gt": "GreaterThan", "lt": "LessThan", "eq": "Equal", "ne": "NotEqual"}
_DURATION = re.compile(r"(\d+)([dhm])")


def called_by(content: Content, text: str) -> list[str]:
    """The functions that a query calls, directly or indirectly, in the order of the content."""
    functions = {function.name: function for function in content.functions}
    called = artefacts.called(functions, text)
    return [name for name in functions if name in called]


def unindented_query(rule: Rule) -> str:
    """A rule's query without its indent in the YAML file."""
    return "\n".join(line.removeprefix("  ") for line in rule.artefact.body.splitlines()) + "\n"


def iso_duration(text: str) -> str:
    """A duration such as `14d` in ISO 8601."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is not a duration")
    return f"P{match[1]}D" if match[2] == "d" else f"PT{match[1]}{match[2].upper()}"


def alert_rule(content: Content, rule: Rule) -> dict[str, Any]:
    """An analytic rule. It depends on every function that it calls: Azure rejects a rule that lacks one."""
    workspace = f"'{WORKSPACES}/savedSearches', parameters('workspace')"
    return {
        "type": f"{WORKSPACES}/providers/alertRules",
        "apiVersion": _RULE_VERSION,
        "name": f"[concat(parameters('workspace'), '/Microsoft.SecurityInsights/{rule.fields['id']}')]",
        "kind": "Scheduled",
        "dependsOn": [
            f"[resourceId({workspace}, '{name}')]" for name in called_by(content, rule.artefact.body)
        ],
        "properties": {"enabled": "[parameters('enableRules')]", **scheduled_properties(rule)},
    }


def scheduled_properties(rule: Rule) -> dict[str, Any]:
    """The properties that a rule and its template share."""
    fields = rule.fields
    return {
        "displayName": fields["name"],
        "description": fields["description"],
        "severity": fields["severity"],
        "query": unindented_query(rule),
        "queryFrequency": iso_duration(fields["queryFrequency"]),
        "queryPeriod": iso_duration(fields["queryPeriod"]),
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


def hunting_query(rule: Rule) -> dict[str, Any]:
    """A hunting query: a saved search in the category that Sentinel shows as hunting."""
    tags = {
        "description": rule.fields["description"],
        "tactics": ",".join(rule.fields["tactics"]),
        "techniques": ",".join(rule.fields["relevantTechniques"]),
    }
    return {
        "type": f"{WORKSPACES}/savedSearches",
        "apiVersion": arm.API_VERSION,
        "name": f"[concat(parameters('workspace'), '/{rule.fields['id']}')]",
        "properties": {
            "etag": "*",
            "displayName": rule.fields["name"],
            "category": "Hunting Queries",
            "query": unindented_query(rule),
            "version": 2,
            "tags": [{"name": name, "value": value} for name, value in tags.items()],
        },
    }


def workbook_name(book: Workbook) -> str:
    """An expression: a GUID, as Azure requires. The workbooks of two workspaces have different ones."""
    return f"guid({WORKSPACE_ID}, '{book.name}')"


def workbook(book: Workbook) -> dict[str, Any]:
    """A workbook, shared with everybody who may read the workspace."""
    return {
        "type": "Microsoft.Insights/workbooks",
        "apiVersion": _WORKBOOK_VERSION,
        "name": f"[{workbook_name(book)}]",
        "location": "[parameters('location')]",
        "kind": "shared",
        "properties": {
            "displayName": book.title,
            "description": book.about,
            "serializedData": book.text,
            "version": "1.0",
            "category": "sentinel",
            "sourceId": f"[{WORKSPACE_ID}]",
        },
    }
