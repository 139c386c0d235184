"""The Sentinel solution as a package of the content hub (V3): templates that a person turns on.

``mainTemplate.json`` has them, ``createUiDefinition.json`` is the portal's form. Promised: the same content
gives the same bytes. Not promised, because not tried: that the hub takes it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from irmsentinel.content import rules, workbooks
from irmsentinel.content.artefacts import Artefact, Content
from irmsentinel.content.rules import Rule
from irmsentinel.packaging import arm, solution
from irmsentinel.packaging.solution import NAMESPACE, SCHEMA, WORKSPACES

NAME = "irmexport"
TITLE = "Insider Risk Management alerts (irmexport)"
PACKAGE_ID = "irmexport.irmexport-sentinel-solution"
_UI_SCHEMA = "https://schema.management.azure.com/schemas/0.1.2-preview/CreateUIDefinition.MultiVm.json#"
_TEMPLATE_VERSION = "2023-04-01-preview"
_RULE_TEMPLATE_VERSION = "2022-04-01-preview"
_METADATA_VERSION = "2022-01-01-preview"
_SEARCH_VERSION = "2022-10-01"


@dataclass(frozen=True)
class Part:
    """A content item of the package: its kind, id, title, version, and the resource that it becomes."""

    kind: str
    short: str
    id: str
    title: str
    version: str
    about: str
    resource: Mapping[str, Any]
    parent: str


def package(content: Content, version: str) -> dict[str, Any]:
    """``mainTemplate.json``: the content as templates of a content hub solution."""
    parts = list(_parts(content))
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "metadata": {"author": NAME, "comments": f"Solution template of {NAME}, made from its content files"},
        "parameters": {
            "location": {
                **solution.said("string", "Of the deployment; the resources' region is workspace-location."),
                "minLength": 1,
                "defaultValue": "[resourceGroup().location]",
            },
            "workspace-location": {
                **solution.said("string", "Region of the workspace."),
                "defaultValue": "[parameters('location')]",
            },
            "workspace": solution.said(
                "string", "Name of the Log Analytics workspace of Microsoft Sentinel."
            ),
        },
        "variables": {
            "solutionId": PACKAGE_ID,
            "solutionVersion": version,
            "packageResourceId": (
                f"[extensionResourceId(resourceId('{WORKSPACES}', parameters('workspace')), "
                "'Microsoft.SecurityInsights/contentPackages', variables('solutionId'))]"
            ),
        },
        "resources": [
            *(_template(part, version) for part in parts),
            # The functions themselves: a rule made from its template needs them at once.
            *arm.template(content)["resources"],
            _content_package(parts, version),
        ],
    }


def _parts(content: Content) -> Iterable[Part]:
    for function, resource in zip(content.functions, arm.template(content)["resources"], strict=True):
        yield _parser(function, resource)
    for rule in rules.load(content.root):
        yield _analytic(rule) if rule.folder == rules.ANALYTIC else _hunt(rule)
    for book in workbooks.load(content.root):
        yield Part(
            kind="Workbook",
            short="wb",
            id=f"{NAME}-{book.name}",
            title=book.title,
            version="1.0.0",
            about=book.about,
            resource={**solution.workbook(book), "location": "[parameters('workspace-location')]"},
            parent=f"[resourceId('Microsoft.Insights/workbooks', '{uuid.uuid5(NAMESPACE, book.name)}')]",
        )


def _parser(function: Artefact, resource: Mapping[str, Any]) -> Part:
    return Part(
        kind="Parser",
        short="pr",
        id=f"{NAME}-{function.name}",
        title=function.name,
        version="1.0.0",
        about=function.summary,
        resource={**resource, "apiVersion": _SEARCH_VERSION},
        parent=f"[resourceId('{WORKSPACES}/savedSearches', parameters('workspace'), '{function.name}')]",
    )


def _analytic(rule: Rule) -> Part:
    fields, kind = rule.fields, "Microsoft.SecurityInsights/AlertRuleTemplates"
    resource = {
        "type": kind,
        "apiVersion": _RULE_TEMPLATE_VERSION,
        "name": fields["id"],
        "kind": "Scheduled",
        "location": "[parameters('workspace-location')]",
        "properties": {
            "enabled": False,
            "status": fields["status"],
            "requiredDataConnectors": fields["requiredDataConnectors"],
            **solution.scheduled(rule),
        },
    }
    return _of_rule(rule, "AnalyticsRule", "ar", resource, f"[resourceId('{kind}', '{fields['id']}')]")


def _hunt(rule: Rule) -> Part:
    resource = {**solution.hunting(rule), "apiVersion": _SEARCH_VERSION}
    at = f"'{WORKSPACES}/savedSearches', parameters('workspace'), '{rule.fields['id']}'"
    return _of_rule(rule, "HuntingQuery", "hq", resource, f"[resourceId({at})]")


def _of_rule(rule: Rule, kind: str, short: str, resource: Mapping[str, Any], parent: str) -> Part:
    fields = rule.fields
    return Part(
        kind=kind,
        short=short,
        id=fields["id"],
        title=fields["name"],
        version=fields["version"],
        about=fields["description"],
        resource=resource,
        parent=parent,
    )


def _in_sentinel(inner: str) -> str:
    return f"[concat(parameters('workspace'), '/Microsoft.SecurityInsights/', {inner})]"


def _source() -> dict[str, Any]:
    return {
        "source": {"kind": "Solution", "name": NAME, "sourceId": "[variables('solutionId')]"},
        "author": {"name": NAME},
        "support": {"name": NAME, "tier": "Community", "link": "https://github.com"},
    }


def _template(part: Part, version: str) -> dict[str, Any]:
    metadata = {
        "type": f"{WORKSPACES}/providers/metadata",
        "apiVersion": _METADATA_VERSION,
        "name": _in_sentinel(f"'{part.kind}-{part.id}'"),
        "properties": {
            "parentId": part.parent,
            "contentId": part.id,
            "kind": part.kind,
            "version": part.version,
            **_source(),
        },
    }
    product = (
        f"concat(variables('solutionId'), '-{part.short}-', uniqueString('{part.id}', '{part.version}'))"
    )
    return {
        "type": f"{WORKSPACES}/providers/contentTemplates",
        "apiVersion": _TEMPLATE_VERSION,
        "name": _in_sentinel(f"concat(parameters('workspace'), '-{part.short}-', uniqueString('{part.id}'))"),
        "location": "[parameters('workspace-location')]",
        "dependsOn": ["[variables('packageResourceId')]"],
        "properties": {
            "description": part.about,
            "mainTemplate": {
                "$schema": SCHEMA,
                "contentVersion": "1.0.0.0",
                "parameters": {},
                "variables": {},
                "resources": [part.resource, metadata],
            },
            "packageKind": "Solution",
            "packageVersion": version,
            "packageName": NAME,
            "packageId": "[variables('solutionId')]",
            "contentSchemaVersion": "3.0.0",
            "contentId": part.id,
            "contentKind": part.kind,
            "displayName": part.title,
            "contentProductId": f"[{product}]",
            "id": f"[{product}]",
            "version": part.version,
            **_source(),
        },
    }


def _content_package(parts: Iterable[Part], version: str) -> dict[str, Any]:
    product = "concat(variables('solutionId'), '-sl-', uniqueString(variables('solutionVersion')))"
    return {
        "type": f"{WORKSPACES}/providers/contentPackages",
        "apiVersion": _TEMPLATE_VERSION,
        "name": _in_sentinel("variables('solutionId')"),
        "location": "[parameters('workspace-location')]",
        "properties": {
            "version": version,
            "kind": "Solution",
            "contentSchemaVersion": "3.0.0",
            "displayName": TITLE,
            "publisherDisplayName": NAME,
            "descriptionHtml": "<p>Insider Risk Management alerts in Sentinel.</p>",
            "contentKind": "Solution",
            "contentProductId": f"[{product}]",
            "id": f"[{product}]",
            "contentId": "[variables('solutionId')]",
            "parentId": "[variables('solutionId')]",
            **_source(),
            "dependencies": {
                "operator": "AND",
                "criteria": [
                    {"kind": part.kind, "contentId": part.id, "version": part.version} for part in parts
                ],
            },
            "firstPublishDate": "2026-11-22",
            "providers": [NAME],
            "categories": {"domains": ["Security - Insider Threat"]},
        },
    }


def interface(content: Content) -> dict[str, Any]:
    """``createUiDefinition.json``: the portal's form, which asks for the workspace and lists the content."""
    steps: list[dict[str, Any]] = []
    by_kind: dict[str, list[Part]] = {}
    for part in _parts(content):
        by_kind.setdefault(part.kind, []).append(part)
    labels = {
        "Workbook": "Workbooks",
        "AnalyticsRule": "Analytics",
        "HuntingQuery": "Hunting Queries",
    }
    for kind, label in labels.items():
        steps.append(
            {
                "name": kind.lower(),
                "label": label,
                "bladeTitle": label,
                "elements": [
                    {
                        "name": f"{kind.lower()}{number}",
                        "type": "Microsoft.Common.Section",
                        "label": part.title,
                        "elements": [
                            {
                                "name": f"{kind.lower()}{number}-text",
                                "type": "Microsoft.Common.TextBlock",
                                "options": {"text": part.about},
                            }
                        ],
                    }
                    for number, part in enumerate(by_kind[kind], start=1)
                ],
            }
        )
    counts = ", ".join(f"{label}: {len(by_kind[kind])}" for kind, label in labels.items())
    workspaces = "Microsoft.OperationalInsights/workspaces?api-version=2020-08-01"
    return {
        "$schema": _UI_SCHEMA,
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
                    "location": {"metadata": {"hidden": "That of the workspace is taken."}, "visible": False},
                    "resourceGroup": {"allowExisting": True},
                },
            },
            "basics": [
                {
                    "name": "getLAWorkspace",
                    "type": "Microsoft.Solutions.ArmApiControl",
                    "toolTip": "The workspaces of the resource group.",
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
                    "toolTip": "The workspace of Microsoft Sentinel.",
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
            "steps": steps,
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
