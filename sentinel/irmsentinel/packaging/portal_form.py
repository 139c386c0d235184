"""``createUiDefinition.json``: the portal's form, which asks for the workspace and lists the content."""

from __future__ import annotations

import json
from typing import Any

from irmsentinel.content.artefacts import Content
from irmsentinel.packaging.content_items import ContentItem, content_items

_LABELS = {
    "Workbook": "Workbooks",
    "AnalyticsRule": "Analytics",
    "HuntingQuery": "Hunting Queries",
}


def portal_form(content: Content) -> dict[str, Any]:
    """The form for this content."""
    by_kind: dict[str, list[ContentItem]] = {}
    for item in content_items(content):
        by_kind.setdefault(item.kind, []).append(item)
    file = content.root / "solution" / "createUiDefinition.json"
    form: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    counts = ", ".join(f"{label}: {len(by_kind[kind])}" for kind, label in _LABELS.items())
    form["parameters"]["config"]["basics"]["description"] += f" {counts}."
    form["parameters"]["steps"] = [_step(kind, label, by_kind[kind]) for kind, label in _LABELS.items()]
    return form


def _step(kind: str, label: str, items: list[ContentItem]) -> dict[str, Any]:
    """The page of the form that lists the items of one kind."""
    name = kind.lower()
    return {
        "name": name,
        "label": label,
        "bladeTitle": label,
        "elements": [
            {
                "name": f"{name}{number}",
                "type": "Microsoft.Common.Section",
                "label": item.title,
                "elements": [
                    {
                        "name": f"{name}{number}-text",
                        "type": "Microsoft.Common.TextBlock",
                        "options": {"text": item.about},
                    }
                ],
            }
            for number, item in enumerate(items, start=1)
        ],
    }
