"""The solution's sources in the layout of the Azure-Sentinel repository, to submit it to the content hub.

The folders, names and keys are those of that repository's solutions (V3): ``Solutions/NAME/…`` and
``Logos/``. The same content gives the same text. Unverified: ``FunctionParameters`` of a parser, for which
no solution there has an example; the packaged ``mainTemplate.json`` has the parameters as Azure's schema
wants them.
"""

from __future__ import annotations

import re
import textwrap
import uuid
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from irmsentinel.content import aggregations, rules, workbooks
from irmsentinel.content.aggregations import SummaryRule
from irmsentinel.content.artefacts import Artefact, Content
from irmsentinel.content.rules import Rule
from irmsentinel.packaging import arm, custom_detections, playbooks
from irmsentinel.packaging.content_hub import CATEGORIES, FIRST_PUBLISHED, PACKAGE_ID
from irmsentinel.packaging.content_items import NAME

#: A file without a GUID of its own has one made of this and its name.
NAMESPACE = uuid.UUID("0b6c3f1c-7f4e-4c55-9f0a-5b6f2b0f7a5e")
BASE = PurePosixPath("Solutions") / NAME
ABOUT = (
    "Functions, rules, hunting queries and workbooks for Microsoft Purview Insider Risk Management alerts."
)
#: Ours, which the repository's form does not have.
_OURS = re.compile(r"^(?:returns|story):.*\n(?:[ \t]+.*\n)*", re.MULTILINE)


def sources(content: Content, version: str, support: Mapping[str, str]) -> dict[str, str]:
    """Each file's text by its path; ``support`` as in SolutionMetadata.json."""
    books = workbooks.load(*content.folders)
    by_kind = {
        "Analytic Rules": dict(_rule_files(content, rules.ANALYTIC)),
        "Hunting Queries": dict(_rule_files(content, rules.HUNTING)),
        "Parsers": {f"{each.name}.yaml": _parser(each) for each in content.functions},
        "Summary Rules": {
            f"{each.name}.yaml": _summary_rule(each)
            for each in aggregations.summary_rules(*content.folders).values()
        },
        "Workbooks": {f"{each.name}.json": each.path.read_text(encoding="utf-8") for each in books},
        "Playbooks": {
            f"{NAME}-{each}/azuredeploy.json": arm.text(playbooks.template(each))
            for each in playbooks.TRIGGERS
        },
        custom_detections.FOLDER: dict(custom_detections.detections(content)),
    }
    solution: dict[str, Any] = {
        "Name": NAME,
        "Author": NAME,
        "Logo": f'<img src="https://raw.githubusercontent.com/Azure/Azure-Sentinel/master/Logos/{NAME}.svg" '
        'width="75px" height="75px">',
        "Description": ABOUT,
        **{kind: [f"{kind}/{name}" for name in files] for kind, files in by_kind.items()},
        "Metadata": "SolutionMetadata.json",
        "BasePath": f"C:\\GitHub\\Azure-Sentinel\\Solutions\\{NAME}",
        "Version": version,
        "TemplateSpec": True,
        "Is1PConnector": False,
    }
    metadata = {
        "publisherId": NAME,
        "offerId": PACKAGE_ID.partition(".")[2],
        "firstPublishDate": FIRST_PUBLISHED,
        "providers": [NAME],
        "categories": CATEGORIES,
        "support": dict(support),
    }
    found = {f"{BASE}/{kind}/{name}": text for kind, files in by_kind.items() for name, text in files.items()}
    return {
        **found,
        f"{BASE}/Data/Solution_{NAME}.json": arm.text(solution),
        f"{BASE}/SolutionMetadata.json": arm.text(metadata),
        f"{BASE}/ReleaseNotes.md": (content.root / "solution" / "ReleaseNotes.md").read_text(
            encoding="utf-8"
        ),
        f"{BASE}/WorkbooksMetadata.json": arm.text(
            [_gallery(each) for each in workbooks.load(*content.folders)]
        ),
        f"Logos/{NAME}.svg": (content.root / "solution" / "logo.svg").read_text(encoding="utf-8"),
    }


def _rule_files(content: Content, folder: str) -> Iterator[tuple[str, str]]:
    for rule in rules.load(*content.folders):
        if rule.folder == folder:
            yield f"{rule.name}.yaml", _rule(rule)


def _rule(rule: Rule) -> str:
    return _OURS.sub("", rule.artefact.text)


def _parser(function: Artefact) -> str:
    return custom_detections.yaml(
        {
            "id": str(uuid.uuid5(NAMESPACE, function.name)),
            "Function": {"Title": function.name, "Version": "1.0.0", "LastUpdated": FIRST_PUBLISHED},
            "Category": "Microsoft Sentinel Parser",
            "FunctionName": function.name,
            "FunctionAlias": function.name,
            "FunctionParameters": function.signature,
            "FunctionQuery": f"// {function.summary}\n{function.body}",
        }
    )


def _summary_rule(rule: SummaryRule) -> str:
    return custom_detections.yaml(
        {
            "id": str(uuid.uuid5(NAMESPACE, f"summary {rule.name}")),
            "displayName": f"{NAME} {rule.name}",
            "description": rule.description,
            "requiredDataConnectors": [],
            "destinationTable": rule.destination,
            "query": textwrap.dedent(rule.query),
            "binSize": int(rule.bin.total_seconds() // 60),
            "version": "1.0.0",
        }
    )


def _gallery(book: workbooks.Workbook) -> dict[str, Any]:
    """The entry that a submission adds to the repository's Workbooks/WorkbooksMetadata.json."""
    return {
        "workbookKey": f"{NAME}-{book.name}",
        "logoFileName": f"{NAME}.svg",
        "description": book.about,
        "dataTypesDependencies": [],
        "dataConnectorsDependencies": [],
        "previewImagesFileNames": [],
        "version": "1.0.0",
        "title": book.title,
        "templateRelativePath": f"{book.name}.json",
        "subtitle": "",
        "provider": NAME,
    }
