"""Analytic rules and hunting queries: one YAML file each, in the form of the Azure-Sentinel repository.

In addition to that form's fields, a file has ``returns``: the columns of the query, which the checker
verifies. A file without the fields that irmexport reads is refused with its path; tests apply that
repository's own rules to the other fields.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from irmcore import settings
from irmcore.errors import DataError
from irmcore.settings import Kind

from irmsentinel.content import artefacts
from irmsentinel.content.artefacts import Artefact, Content

ANALYTIC = "analytic_rules"
HUNTING = "hunting"
RULE = Kind(
    name="rule",
    schema_file=Path(__file__).with_name("rule.schema.json"),
    start="Start from a copy of another rule in the same folder.",
    error=DataError,
)


@dataclass(frozen=True)
class Rule:
    """An analytic rule or hunting query; ``fields`` is the file as it is."""

    folder: str
    artefact: Artefact
    fields: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """What it is called by here: its file's name."""
        return self.artefact.name


def load(*folders: Path) -> tuple[Rule, ...]:
    """All rules and hunting queries of the folders, by default ours.

    Raises DataError with the path, also if two have one id: in a workspace one would replace the other.
    """
    tops = folders or (artefacts.root(),)
    found = tuple(
        read(path)
        for kind in (ANALYTIC, HUNTING)
        for top in tops
        for path in sorted((top / kind).glob("*.yaml"))
    )
    known: dict[str, Rule] = {}
    for rule in found:
        other = known.setdefault(str(rule.fields["id"]).lower(), rule)
        if other is not rule:
            raise DataError(
                f"{other.artefact.path} has the same id",
                where=str(rule.artefact.path),
                next_step=f"Give this one another, for example {uuid.uuid4()}.",
            )
    return found


def read(path: Path) -> Rule:
    """One file. Raises DataError with the path."""
    text = path.read_text(encoding="utf-8")
    fields = settings.parse(text, str(path), RULE).value
    lines = text.splitlines()
    artefact = Artefact(
        path=path,
        summary=str(fields["description"]),
        returns=artefacts.columns(str(fields["returns"])),
        # Indented as in the file, so that a finding's column is the file's.
        body="\n".join(lines[lines.index("query: |") + 1 :]),
        first_line=lines.index("query: |") + 2,
        text=text,
    )
    return Rule(path.parent.name, artefact, fields)


def with_rules(loaded: Content) -> Content:
    """The content with its rules and hunting queries among the queries. Raises DataError."""
    rules = load(*loaded.folders)
    added = replace(loaded, artefacts=(*loaded.artefacts, *(rule.artefact for rule in rules)))
    artefacts.check_unique_names(added.artefacts)
    return added
