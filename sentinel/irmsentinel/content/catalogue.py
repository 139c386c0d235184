"""All KQL of the content as artefacts, whatever kind of file it is in."""

from __future__ import annotations

from pathlib import Path

from irmsentinel.content import aggregations, artefacts, rules, workbooks
from irmsentinel.content.aggregations import Aggregation, SummaryRule
from irmsentinel.content.artefacts import Artefact, Content


def load(top: Path | None = None, own: Path | None = None) -> Content:
    """The content with every query in it. Raises DataError or ConfigurationError with file and line."""
    loaded = workbooks.with_queries(rules.with_rules(artefacts.load(top, own)))
    queries: list[Aggregation | SummaryRule] = [*aggregations.load(*loaded.folders).values()]
    queries += aggregations.summary_rules(*loaded.folders).values()
    return aggregations.checked(loaded, queries)


def in_file(loaded: Content, path: Path) -> list[Artefact]:
    """The artefacts of one file: several for a workbook, one for any other file, none for an unknown one."""
    wanted = path.resolve()
    return [
        artefact
        for artefact in (*loaded.artefacts, *loaded.overrides)
        if artefact.path.with_name(artefact.path.name.partition("#")[0]).resolve() == wanted
    ]
