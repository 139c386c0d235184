"""Defender's edition of the content: custom detections and hunting queries, to submit, create or paste.

A custom detection is a YAML file in the form of the Azure-Sentinel repository's ``XDR Detections``, and the
same as the body of Microsoft Graph's ``detectionRule``. Every rule runs once a day: with Defender's tables
the look-back is fixed by the frequency, and only the daily one (30 days) covers that of our rules ("Create
custom detection rules", https://learn.microsoft.com/defender-xdr/custom-detection-rules). A rule that
reports the rows that arrived in its interval reports those of a day then. Not tested: that Defender accepts
them.
"""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from irmsentinel.content import rules
from irmsentinel.content.artefacts import Content
from irmsentinel.content.defender import Defender, Edition
from irmsentinel.content.rules import ANALYTIC, Rule
from irmsentinel.kql import calls
from irmsentinel.packaging import arm

FOLDER = "XDR Detections"
_DAY = timedelta(days=1)
#: The version of a detection, which that repository's packaging wants in [3.1.0, 4.0.0).
_VERSION = "3.1.0"
_AGO = re.compile(r"ago\((\w+)\)")
_COLUMN = re.compile(r"\{\{(\w+)\}\}")
#: Sentinel's entity → Defender's, and the column that one is found by: its name there, and in Sentinel.
_ENTITIES = {
    "Account": ("accounts", "upnColumn", ""),
    "Host": ("hosts", "nameColumn", "HostName"),
    "IP": ("ips", "addressColumn", "Address"),
}
_ACCOUNT = (("upnColumn", "AccountUpn"), ("aadUserIdColumn", "AccountObjectId"))


def files(content: Content) -> Iterator[tuple[str, str]]:
    """What is created or pasted: each file's path and text."""
    for rule, edition in _editions(content):
        if rule.folder == ANALYTIC:
            yield f"defender/detections/{rule.name}.json", arm.text(properties(rule, edition))
        else:
            yield f"defender/hunting/{rule.name}.kql", hunting_query(rule, edition)


def detections(content: Content) -> Iterator[tuple[str, str]]:
    """The files of the folder ``XDR Detections``."""
    for rule, edition in _editions(content):
        if rule.folder == ANALYTIC:
            yield f"{rule.name}.yaml", _detection(rule, edition)


def _editions(content: Content) -> Iterator[tuple[Rule, Edition]]:
    defender = Defender.of(content)
    for rule in rules.load(*content.folders):
        if defender.why_not(rule) is None:
            yield rule, defender.edition(rule)


def daily(rule: Rule, edition: Edition) -> Edition:
    """A rule's edition that reports what arrived in a day, with the same delay as in its interval."""
    frequency = calls.span(rule.fields["queryFrequency"])

    def longer(ago: re.Match[str]) -> str:
        delay = calls.span(ago[1]) - frequency
        if timedelta(0) < delay < frequency < _DAY:
            return f"ago({int((_DAY + delay).total_seconds() // 60)}m)"
        return ago[0]

    return replace(edition, query=_AGO.sub(longer, edition.query))


def properties(rule: Rule, edition: Edition) -> dict[str, Any]:
    """The body of a ``detectionRule``. It is disabled."""
    fields = rule.fields
    override = fields["alertDetailsOverride"]
    details = {key: edition.name(column) for key, column in fields["customDetails"].items()}

    def filled(text: str) -> str:
        return _COLUMN.sub(lambda column: f"{{{{{edition.name(column[1])}}}}}", text)

    return {
        "id": f"irmexport-{fields['id']}",
        "displayName": fields["name"],
        "description": edition.about.replace("in the hour that ended", "in the day that ended"),
        "status": "disabled",
        "queryCondition": {"queryText": daily(rule, edition).text},
        "schedule": {"frequency": "P1D"},
        "detectionAction": {
            "alertTemplate": {
                "title": filled(override["alertDisplayNameFormat"]),
                "description": filled(override["alertDescriptionFormat"]),
                "severity": fields["severity"].lower(),
                "recommendedActions": fields.get("triage", {}).get("next", "").strip(),
                "customDetails": {
                    key: column for key, column in details.items() if column in edition.columns
                },
                "entityMappings": _entities(fields["entityMappings"], edition),
                # Defender takes one tactic. The first technique of a rule is one of the first tactic's.
                "tactics": [
                    {
                        "tactic": fields["tactics"][0],
                        "techniques": [{"technique": fields["relevantTechniques"][0]}],
                    }
                ],
            }
        },
    }


def hunting_query(rule: Rule, edition: Edition) -> str:
    """A hunting query to paste into *Advanced hunting*, with what it finds."""
    about = textwrap.wrap(f"{rule.fields['name']}. {edition.about}", 110)
    note = "Made by irmexport from its hunting query for Microsoft Sentinel. Defender keeps 30 days."
    lacking = f" Not read here: {', '.join(edition.left_out)}." if edition.left_out else ""
    return "".join(f"// {line}\n" for line in [*about, f"{note}{lacking}"]) + edition.text


def _detection(rule: Rule, edition: Edition) -> str:
    fields = rule.fields
    document = {
        "schemaVersion": "1.0.0",
        "version": _VERSION,
        "kind": "CustomDetection",
        "resourceType": "Microsoft.Security/detectionRules",
        "apiVersion": "2026-06-01-preview",
        "contentProvenance": {
            "source": {
                "platform": "Microsoft Sentinel",
                "kind": "AnalyticsRule",
                "id": fields["id"],
                "path": f"Analytic Rules/{rule.name}.yaml",
                "version": fields["version"],
                "querySha256": hashlib.sha256(fields["query"].encode()).hexdigest(),
                "schedule": {key: fields[key] for key in ("queryFrequency", "queryPeriod")},
            },
        },
        "properties": properties(rule, edition),
    }
    return yaml(document)


def yaml(document: Any) -> str:
    """A document as YAML."""
    return "".join(f"{line}\n" for line in _yaml(document))


def _yaml(node: Any) -> Iterator[str]:
    """A document as lines of YAML: a text of several lines as a block, any other as in JSON."""
    if isinstance(node, list):
        for item in node:
            first, *others = _yaml(item)
            yield from (f"- {first}", *(f"  {line}" for line in others))
        return
    for key, value in node.items():
        if value and isinstance(value, dict | list):
            yield from (f"{key}:", *(f"  {line}" for line in _yaml(value)))
        elif isinstance(value, str) and "\n" in value:
            yield from (f"{key}: |", *(f"  {line}" for line in value.splitlines()))
        else:
            yield f"{key}: {json.dumps(value, ensure_ascii=False)}"


def _entities(mappings: list[Mapping[str, Any]], edition: Edition) -> dict[str, Any]:
    """The entities of an alert, one of a kind. An account is found by either column."""
    found: dict[str, Any] = {}
    for mapping in mappings:
        columns = {each["identifier"]: edition.name(each["columnName"]) for each in mapping["fieldMappings"]}
        kind, name, identifier = _ENTITIES.get(mapping["entityType"], ("", "", ""))
        if kind == "accounts":
            account = {key: column for key, column in _ACCOUNT if column in edition.columns}
            found[kind] = [{"id": "account1", **account}]
        elif identifier in columns:
            found[kind] = [{"id": f"{kind[:-1]}1", name: columns[identifier]}]
    return found
