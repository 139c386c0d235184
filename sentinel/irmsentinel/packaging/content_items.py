"""The content items of the Content Hub package: parsers, rules, hunting queries and workbooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from irmsentinel.content import rules, workbooks
from irmsentinel.content.artefacts import Content
from irmsentinel.content.rules import Rule
from irmsentinel.packaging import arm, resources
from irmsentinel.packaging.arm import WORKSPACES

NAME = "irmexport"
_RULE_TEMPLATES = "Microsoft.SecurityInsights/AlertRuleTemplates"
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
    search = f"'{WORKSPACES}/savedSearches', parameters('workspace')"
    for function, resource in zip(content.functions, arm.template(content)["resources"], strict=True):
        made = {**resource, "apiVersion": _SEARCH_VERSION}
        parent = f"[resourceId({search}, '{function.name}')]"
        yield _own("Parser", "pr", function.name, function.name, function.summary, made, parent)
    for rule in rules.load(*content.folders):
        name = rule.fields["id"]
        if rule.folder == rules.ANALYTIC:
            parent = f"[resourceId('{_RULE_TEMPLATES}', '{name}')]"
            yield _rule_item(rule, "AnalyticsRule", "ar", _rule_template(rule), parent)
        else:
            made = {**resources.hunting_query(rule), "apiVersion": _SEARCH_VERSION}
            yield _rule_item(rule, "HuntingQuery", "hq", made, f"[resourceId({search}, '{name}')]")
    for book in workbooks.load(*content.folders):
        made = {**resources.workbook(book), "location": "[parameters('workspace-location')]"}
        parent = f"[resourceId('Microsoft.Insights/workbooks', {resources.workbook_name(book)})]"
        yield _own("Workbook", "wb", book.name, book.title, book.about, made, parent)


def _own(  # noqa: PLR0917 - the fields of an item, in their order
    kind: str, short: str, name: str, title: str, about: str, resource: Mapping[str, Any], parent: str
) -> ContentItem:
    """An item whose file has neither an id nor a version."""
    return ContentItem(kind, short, f"{NAME}-{name}", title, "1.0.0", about, resource, parent)


def _rule_template(rule: Rule) -> dict[str, Any]:
    fields = rule.fields
    return {
        "type": _RULE_TEMPLATES,
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


def _rule_item(rule: Rule, kind: str, short: str, resource: Mapping[str, Any], parent: str) -> ContentItem:
    identity, title, version, about = (rule.fields[key] for key in ("id", "name", "version", "description"))
    return ContentItem(kind, short, identity, title, version, about, resource, parent)
