"""Check KQL with Microsoft's own parser and binder, and against the portability rules.

Every artefact is bound against every shape of the tables and against a workspace that has only the tables
that it ``needs``; its columns must be those that its header ``returns``. Not checked: that Azure runs it.
Nothing here was run on a live workspace.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from irmsentinel.content import tables
from irmsentinel.content.artefacts import Artefact, Content
from irmsentinel.content.tables import Table
from irmsentinel.kql import findings, parser, portability
from irmsentinel.kql.bindings import bindings, workspaces
from irmsentinel.kql.findings import Finding


def check(
    content: Content, node: Path, modules: Path, *, only: Collection[Artefact] | None = None
) -> list[Finding]:
    """All findings, ordered by file and line; with ``only``, those of these artefacts of the content.

    ``node`` is the interpreter, ``modules`` the folder that npm installed the parser into. Raises
    ConfigurationError if either is missing.
    """
    chosen = (*content.artefacts, *content.overrides) if only is None else tuple(only)
    known = tables.load(*(folder / "tables" for folder in content.folders))
    texts = list(bindings(content, known, chosen))
    request = {
        "databases": workspaces(content, known, chosen),
        "texts": [{"id": str(i), "database": t.workspace, "text": t.text} for i, t in enumerate(texts)],
    }
    answers = parser.parse(node, modules, content.root / parser.SCRIPT, request)
    found = findings.deduplicated(
        finding for i, text in enumerate(texts) for finding in findings.of_answer(text, answers[str(i)])
    )
    found |= set(_unknown_needs(chosen, known)) | _not_portable(chosen)
    return sorted(findings.without_allowed(found, chosen))


def installed(content: Content, node: Path, modules: Path) -> bool:
    """Whether Microsoft's parser is there."""
    return all(path.exists() for path in (content.root / parser.SCRIPT, node, modules / parser.LIBRARY))


def without_parser(chosen: Collection[Artefact]) -> list[Finding]:
    """What the portability rules alone find."""
    return sorted(_not_portable(chosen))


def _not_portable(chosen: Collection[Artefact]) -> set[Finding]:
    return {findings.in_body(each, *broken) for each in chosen for broken in portability.broken(each)}


def _unknown_needs(chosen: Collection[Artefact], known: Sequence[Table]) -> Iterator[Finding]:
    names = {table.name for table in known}
    for artefact in chosen:
        for need in artefact.needs:
            if need not in names:
                near = difflib.get_close_matches(need, names, n=1)
                hint = f"did you mean {near[0]}?" if near else "tables/ has the known tables"
                yield findings.in_header(artefact, "needs", "HR8", f"`needs` names {need}: {hint}")
