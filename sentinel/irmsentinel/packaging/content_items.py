"""The content items of the Content Hub package: parsers, rules, hunting queries and workbooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from irmsentinel.content import rules, workbooks
from irmsentinel.content.artefacts import Artefact, Content
from irmsentinel.content.rules import Rule
from irmsentinel.packaging import arm, resources
from irmsentinel.packaging.arm import WORKSPACES

NAME = "irmexport"
_RULE_TEMPLATE_VERSION = "2022-04-01-preview"
_SEARCH_VERSION = "2022-10-01"


@dataclass(frozen=True)
class ContentItem:
    """A content item. ``short`` is the Content Hub's short name of its kind, ``resource`` what it becomes."""

    kind: str
    short: str
    id: str
    title: str
    version: str
    about: str
    resource: Mapping[str, Any]
    parent: str


def content_items(content: Content) -> Iterator[ContentItem]:
    """All items of the package, in the order of the content."""
    for function, resource in zip(content.functions, arm.template(content)["resources"], strict=True):
        yield _parser(function, resource)
    for rule in rules.load(*content.folders):
        yield _analytic_rule(rule) if rule.folder == rules.ANALYTIC else _hunting_query(rule)
    for book in workbooks.load(*content.folders):
        yield ContentItem(
            kind="Workbook",
            short="wb",
            id=f"{NAME}-{book.name}",
            title=book.title,
            version="1.0.0",
            about=book.about,
            resource={**resources.workbook(book), "location": "[parameters('workspace-location')]"},
            parent=f"[resourceId('Microsoft.Insights/workbooks', {resources.workbook_name(book)})]",
        )


def _parser(function: Artefact, resource: Mapping[str, Any]) -> ContentItem:
    return ContentItem(
        kind="Parser",
        short="pr",
        id=f"{NAME}-{function.name}",
        title=function.name,
        version="1.0.0",
        about=function.summary,
        resource={**resource, "apiVersion": _SEARCH_VERSION},
        parent=f"[resourceId('{WORKSPACES}/savedSearches', parameters('workspace'), '{function.name}')]",
    )


def _analytic_rule(rule: Rule) -> ContentItem:
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
            **resources.scheduled_properties(rule),
        },
    }
    return _rule_item(rule, "AnalyticsRule", "ar", resource, f"[resourceId('{kind}', '{fields['id']}')]")


def _hunting_query(rule: Rule) -> ContentItem:
    resource = {**resources.hunting_query(rule), "apiVersion": _SEARCH_VERSION}
    at = f"'{WORKSPACES}/savedSearches', parameters('workspace'), '{rule.fields['id']}'"
    return _rule_item(rule, "HuntingQuery", "hq", resource, f"[resourceId({at})]")


def _rule_item(rule: Rule, kind: str, short: str, resource: Mapping[str, Any], parent: str) -> ContentItem:
    fields = rule.fields
    return ContentItem(
        kind=kind,
        short=short,
        id=fields["id"],
        title=fields["name"],
        version=fields["version"],
        about=fields["description"],
        resource=resource,
        parent=parent,
    )
