"""Findings in KQL files, made from the parser's diagnostics and the columns of a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from irmsentinel.content import artefacts
from irmsentinel.content.artefacts import Artefact
from irmsentinel.kql.bindings import Binding

#: A leg of `union isfuzzy=true` names a table that this workspace lacks. That is what isfuzzy is for.
_MISSING_UNION_LEG = "KS205"
#: The binder does not know a column or a table.
_UNKNOWN_NAME = {"KS142", "KS204"}


@dataclass(frozen=True, order=True)
class Finding:
    """One problem and where it is."""

    path: str
    line: int
    column: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.code} {self.message}"


def in_body(artefact: Artefact, start: int, code: str, message: str) -> Finding:
    """A finding at an offset of the artefact's body."""
    before = artefact.body[:start]
    line = artefact.first_line + before.count("\n")
    return Finding(_shown(artefact), line, start - (before.rfind("\n") + 1) + 1, code, message)


def in_header(artefact: Artefact, field: str, code: str, message: str) -> Finding:
    """A finding at a field of the artefact's header."""
    lines = artefact.text.splitlines()
    line = next(
        i for i, line in enumerate(lines, start=1) if line.removeprefix("// ").startswith(f"{field}:")
    )
    return Finding(_shown(artefact), line, 1, code, message)


def _shown(artefact: Artefact) -> str:
    """The path relative to the repository, for an artefact of the content."""
    top = artefacts.root().parent
    return str(artefact.path.relative_to(top)) if artefact.path.is_relative_to(top) else str(artefact.path)


def of_answer(binding: Binding, answer: Mapping[str, Any]) -> Iterator[Finding]:
    """What the parser's answer says about a binding: its diagnostics, and columns other than promised."""
    artefact = binding.artefact
    for diagnostic in answer["diagnostics"]:
        code, message = diagnostic["code"], diagnostic["message"]
        if diagnostic["severity"] not in {"Error", "Warning"} or code == _MISSING_UNION_LEG:
            continue
        if binding.minimal and code in _UNKNOWN_NAME:
            message += " (in a workspace that has only the tables in `needs`: guard it, or add it there)"
        start = min(max(diagnostic["start"] - binding.offset, 0), len(artefact.body))
        yield in_body(artefact, start, code, message)
    promised = [[column.name, column.type] for column in artefact.returns]
    columns = answer["columns"]
    if columns is None:
        yield in_body(artefact, 0, "OC2", "the query does not return a table")
        return
    if binding.minimal:
        columns = _typed(columns, {column.name: column.type for column in artefact.returns})
    if promised and columns != promised:
        yield in_header(artefact, "returns", "OC1", _difference(promised, columns))


def _typed(columns: list[list[str]], promised: Mapping[str, str]) -> list[list[str]]:
    """The columns with promised types where a missing table leaves a type unknown.

    A union splits such a column A into A_string and A_unknown. The workspaces that have the table check the
    type.
    """
    split = {name.removesuffix("_unknown") for name, kind in columns if name.endswith("_unknown")}
    typed = []
    for name, kind in columns:
        whole = next((s for s in split if name == f"{s}_{promised.get(s)}"), name)
        if name.removesuffix("_unknown") not in split or name in promised:
            typed.append([whole, promised.get(whole, kind) if kind == "unknown" else kind])
    return typed


def _difference(promised: list[list[str]], returned: list[list[str]]) -> str:
    wanted = [f"{name}:{kind}" for name, kind in promised]
    given = [f"{name}:{kind}" for name, kind in returned]
    missing = [column for column in wanted if column not in given]
    extra = [column for column in given if column not in wanted]
    if not missing and not extra:
        return f"`returns` has another order than the query: {', '.join(given)}"
    promises, gives = ", ".join(missing) or "no more", ", ".join(extra) or "no more"
    return f"`returns` promises {promises}; the query gives {gives}"


def deduplicated(findings: Iterable[Finding]) -> set[Finding]:
    """One finding per position and code: the one with the shortest message, without advice on `needs`."""
    kept: dict[tuple[str, int, int, str], Finding] = {}
    for finding in findings:
        key = (finding.path, finding.line, finding.column, finding.code)
        if key not in kept or len(finding.message) < len(kept[key].message):
            kept[key] = finding
    return set(kept.values())


def without_allowed(findings: set[Finding], chosen: Iterable[Artefact]) -> Iterator[Finding]:
    """The findings that no header ``allows``, and HR9 for each allowance that nothing needs."""
    allowed = {(_shown(artefact), code): artefact for artefact in chosen for code in artefact.allows}
    found = {(finding.path, finding.code) for finding in findings}
    yield from (finding for finding in findings if (finding.path, finding.code) not in allowed)
    for (path, code), artefact in allowed.items():
        if (path, code) not in found:
            yield in_header(
                artefact, "allows", "HR9", f"`allows` names {code}, which is not found: remove it"
            )
