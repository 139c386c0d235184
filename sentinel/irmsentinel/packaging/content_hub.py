"""The Sentinel solution as a Content Hub package (V3), ``mainTemplate.json``: templates to be enabled.

The same content gives the same bytes. Not tested: that the Content Hub accepts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from irmsentinel.content.artefacts import Content
from irmsentinel.packaging import arm
from irmsentinel.packaging.arm import WORKSPACE_ID, WORKSPACES
from irmsentinel.packaging.content_items import NAME, ContentItem, content_items

TITLE = "Insider Risk Management alerts (irmexport)"
PACKAGE_ID = "irmexport.irmexport-sentinel-solution"
FIRST_PUBLISHED = "2026-11-22"
CATEGORIES = {"domains": ["Security - Insider Threat"]}
#: Who helps: nobody is named unless a package names somebody.
SUPPORT = {"name": NAME, "tier": "Community"}
_TEMPLATE_VERSION = "2023-04-01-preview"
_METADATA_VERSION = "2022-01-01-preview"


def package(content: Content, version: str, support: Mapping[str, str] = SUPPORT) -> dict[str, Any]:
    """The package of this content."""
    items = list(content_items(content))
    region = "Region of the deployment. Resources are created in workspace-location."
    return arm.deployment(
        {
            "location": {**arm.location(region), "minLength": 1},
            "workspace-location": arm.parameter(
                "string", "Region of the workspace.", defaultValue="[parameters('location')]"
            ),
            "workspace": arm.WORKSPACE,
        },
        [
            *(_template(item, version, support) for item in items),
            # The functions themselves, because a rule needs them as soon as it is created from its template.
            *arm.template(content)["resources"],
            _content_package(content, items, version, support),
        ],
        metadata={"author": NAME, "comments": f"Solution template of {NAME}, made from its content files"},
        variables={
            "solutionId": PACKAGE_ID,
            "solutionVersion": version,
            "packageResourceId": (
                f"[extensionResourceId({WORKSPACE_ID}, "
                "'Microsoft.SecurityInsights/contentPackages', variables('solutionId'))]"
            ),
        },
    )


def _in_sentinel(inner: str) -> str:
    return f"[concat(parameters('workspace'), '/Microsoft.SecurityInsights/', {inner})]"


def _source(support: Mapping[str, str]) -> dict[str, Any]:
    return {
        "source": {"kind": "Solution", "name": NAME, "sourceId": "[variables('solutionId')]"},
        "author": {"name": NAME},
        "support": dict(support),
    }


def _template(item: ContentItem, version: str, support: Mapping[str, str]) -> dict[str, Any]:
    metadata = {
        "type": f"{WORKSPACES}/providers/metadata",
        "apiVersion": _METADATA_VERSION,
        "name": _in_sentinel(f"'{item.kind}-{item.id}'"),
        "properties": {
            "parentId": item.parent,
            "contentId": item.id,
            "kind": item.kind,
            "version": item.version,
            **_source(support),
        },
    }
    product = (
        f"concat(variables('solutionId'), '-{item.short}-', uniqueString('{item.id}', '{item.version}'))"
    )
    return {
        "type": f"{WORKSPACES}/providers/contentTemplates",
        "apiVersion": _TEMPLATE_VERSION,
        "name": _in_sentinel(f"concat(parameters('workspace'), '-{item.short}-', uniqueString('{item.id}'))"),
        "location": "[parameters('workspace-location')]",
        "dependsOn": ["[variables('packageResourceId')]"],
        "properties": {
            "description": item.about,
            "mainTemplate": arm.deployment({}, [item.resource, metadata], variables={}),
            "packageKind": "Solution",
            "packageVersion": version,
            "packageName": NAME,
            "packageId": "[variables('solutionId')]",
            "contentSchemaVersion": "3.0.0",
            "contentId": item.id,
            "contentKind": item.kind,
            "displayName": item.title,
            "contentProductId": f"[{product}]",
            "id": f"[{product}]",
            "version": item.version,
            **_source(support),
        },
    }


def _content_package(
    content: Content, items: Iterable[ContentItem], version: str, support: Mapping[str, str]
) -> dict[str, Any]:
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
            **_source(support),
            "dependencies": {
                "operator": "AND",
                "criteria": [
                    {"kind": item.kind, "contentId": item.id, "version": item.version} for item in items
                ],
            },
            "icon": (content.root / "solution" / "logo.svg").read_text(encoding="utf-8"),
            "firstPublishDate": FIRST_PUBLISHED,
            "providers": [NAME],
            "categories": CATEGORIES,
        },
    }
