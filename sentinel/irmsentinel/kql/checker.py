"""All KQL against Microsoft's own parser and binder, and against the house's rules.

Promised: every artefact is bound against every shape of the tables and against a workspace that has
only the tables that it ``needs``; function bodies are bound on their own (the binder does not look into
stored functions); the columns are the ones the header promises; each finding has file, line, column.
Not promised: that Azure runs it. Nothing here was run on a live workspace.
"""

from __future__ import annotations

import difflib
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irmcore.errors import ConfigurationError

from irmsentinel.content import artefacts as contents
from irmsentinel.content import tables
from irmsentinel.content.artefacts import Artefact, Content
from irmsentinel.content.tables import Table
from irmsentinel.kql import portability

SCRIPT = Path("checker") / "check.cjs"
LIBRARY = Path("node_modules") / "@kusto" / "language-service-next"
BARE = "only "
LOCAL = "local engine"
_TIMEOUT_S = 300


@dataclass(frozen=True, order=True)
class Finding:
    """What is wrong, where."""

    path: str
    line: int
    column: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.code} {self.message}"


@dataclass(frozen=True)
class _Text:
    """A text to bind, and where its artefact's body begins in it."""

    artefact: Artefact
    database: str
    text: str
    offset: int


def check(content: Content, node: Path, modules: Path) -> list[Finding]:
    """All findings, in the order of files and lines.

    `node`: the interpreter; `modules`: the folder in which the parser was installed. Raises
    ConfigurationError if either is missing.
    """
    known = tables.load(content.root / "tables")
    texts = list(_texts(content, known))
    request = {
        "library": str(modules / LIBRARY),
        "databases": _databases(content, known),
        "texts": [{"id": str(i), "database": t.database, "text": t.text} for i, t in enumerate(texts)],
    }
    answers = _ask(node, content.root / SCRIPT, request)
    found = _once(finding for i, text in enumerate(texts) for finding in _findings(text, answers[str(i)]))
    found |= set(_misspelt(content, known))
    artefacts = (*content.artefacts, *content.overrides)
    for artefact in artefacts:
        found |= {
            Finding(_shown(artefact), *_place(artefact.body, artefact.first_line, start), code, message)
            for start, code, message in portability.broken(artefact)
        }
    return sorted(_without_allowed(found, artefacts))


def _databases(content: Content, known: Sequence[Table]) -> dict[str, Any]:
    functions = [_function(artefact) for artefact in content.functions]
    overrides = [_function(artefact) for artefact in content.local_functions()]
    databases = {
        shape or "our shape": {"tables": _declared(known, shape), "functions": functions}
        for shape in {table.shape for table in known}
    }
    local = [*_declared(known, ""), *_packed(known)]
    for artefact in content.artefacts:
        needed = [table for table in _declared(known, "") if table["name"] in artefact.needs]
        databases[_bare(artefact)] = {"tables": needed, "functions": functions}
    return {
        **databases,
        LOCAL: {"tables": local, "functions": overrides},
    }


def _bare(artefact: Artefact) -> str:
    """The workspace that has only what this artefact needs."""
    return BARE + ", ".join(sorted(artefact.needs))


def _function(artefact: Artefact) -> dict[str, str]:
    return {"name": artefact.name, "parameters": artefact.signature, "body": artefact.body}


def _declared(known: Sequence[Table], shape: str) -> list[dict[str, str]]:
    by_name = tables.shapes(known)
    chosen = (shapes.get(shape, shapes[""]) for shapes in by_name.values())
    return [{"name": table.name, "columns": table.declaration} for table in chosen]


def _packed(known: Sequence[Table]) -> list[dict[str, str]]:
    columns = "TimeGenerated:datetime, Record:dynamic"
    return [{"name": f"{name}__packed", "columns": columns} for name in {t.name for t in known}]


def _texts(content: Content, known: Sequence[Table]) -> Iterator[_Text]:
    shapes = sorted({table.shape or "our shape" for table in known})
    for artefact in content.artefacts:
        for database in [artefact.shape] if artefact.shape else [*shapes, _bare(artefact)]:
            yield _text(artefact, database)
    for override in content.overrides:
        yield _text(override, LOCAL)


def _text(artefact: Artefact, database: str) -> _Text:
    if artefact.parameters is None:
        return _Text(artefact, database, artefact.body, 0)
    start = f"let it = ({artefact.signature}) {{ "
    arguments = ", ".join(contents.TYPES[p.type] for p in artefact.parameters)
    return _Text(artefact, database, f"{start}{artefact.body}\n}};\nit({arguments})", len(start))


def _ask(node: Path, script: Path, request: Mapping[str, Any]) -> Mapping[str, Any]:
    for path, what in ((Path(request["library"]), "Microsoft's KQL parser"), (node, "Node")):
        if not path.exists():
            raise ConfigurationError(
                f"{what} is not installed", where=str(path), next_step="`make kql` installs it."
            )
    answer = subprocess.run(  # noqa: S603 — our own script, run by the installed interpreter
        [str(node), str(script)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
        env={"PATH": os.environ.get("PATH", "")},
    )
    if answer.returncode:
        raise ConfigurationError(
            f"the parser ended with code {answer.returncode}",
            where=str(script),
            next_step=f"Its last words: {answer.stderr.strip()[-400:]}",
        )
    results: Mapping[str, Any] = json.loads(answer.stdout)
    return results


def _findings(text: _Text, answer: Mapping[str, Any]) -> Iterator[Finding]:
    artefact, path, is_bare = text.artefact, _shown(text.artefact), text.database.startswith(BARE)
    for said in answer["diagnostics"]:
        if said["severity"] not in {"Error", "Warning"} or _is_a_table_that_may_be_missing(said):
            continue
        start = min(max(said["start"] - text.offset, 0), len(artefact.body))
        place = _place(artefact.body, artefact.first_line, start)
        message = said["message"]
        if is_bare and said["code"] in {"KS142", "KS204"}:
            message += " (in a workspace that has only the tables of `needs`: guard it, or name it there)"
        yield Finding(path, *place, said["code"], message)
    promised = [[column.name, column.type] for column in artefact.returns]
    if is_bare and answer["columns"] is not None:
        answer = {"columns": _typed(answer["columns"], {c.name: c.type for c in artefact.returns})}
    if answer["columns"] is None:
        yield Finding(path, artefact.first_line, 1, "OC2", "the query gives no table")
    elif promised and answer["columns"] != promised:
        yield Finding(path, _line_of(artefact, "returns"), 1, "OC1", _difference(promised, answer["columns"]))


def _typed(columns: list[list[str]], promised: Mapping[str, str]) -> list[list[str]]:
    """Without the types that a leg of a missing table cannot know; the other databases hold the types.

    A union makes of such a leg's column A and another's the two columns A_string and A_unknown.
    """
    split = {name.removesuffix("_unknown") for name, kind in columns if name.endswith("_unknown")}
    typed = []
    for name, kind in columns:
        whole = next((s for s in split if name == f"{s}_{promised.get(s)}"), name)
        if name.removesuffix("_unknown") not in split or name in promised:
            typed.append([whole, promised.get(whole, kind) if kind == "unknown" else kind])
    return typed


def _once(findings: Iterable[Finding]) -> set[Finding]:
    """One finding a place and code: what is wrong in every workspace is said without the bare one's words."""
    kept: dict[tuple[str, int, int, str], Finding] = {}
    for finding in findings:
        key = (finding.path, finding.line, finding.column, finding.code)
        if key not in kept or len(finding.message) < len(kept[key].message):
            kept[key] = finding
    return set(kept.values())


def _misspelt(content: Content, known: Sequence[Table]) -> Iterator[Finding]:
    names = {table.name for table in known}
    for artefact in (*content.artefacts, *content.overrides):
        for need in artefact.needs:
            if need not in names:
                near = difflib.get_close_matches(need, names, n=1)
                hint = f"did you mean {near[0]}?" if near else "tables/ has what is known"
                where = (_shown(artefact), _line_of(artefact, "needs"), 1)
                yield Finding(*where, "HR8", f"`needs` names {need}: {hint}")


def _is_a_table_that_may_be_missing(said: Mapping[str, Any]) -> bool:
    """KS205: a leg of `union isfuzzy=true` that this workspace does not have; that is what it is for."""
    return bool(said["code"] == "KS205")


def _difference(promised: list[list[str]], given: list[list[str]]) -> str:
    def text(pairs: list[list[str]]) -> list[str]:
        return [f"{name}:{kind}" for name, kind in pairs]

    missing = [pair for pair in text(promised) if pair not in text(given)]
    extra = [pair for pair in text(given) if pair not in text(promised)]
    if not missing and not extra:
        return f"`returns` has another order than the query: {', '.join(text(given))}"
    promises, gives = ", ".join(missing) or "no more", ", ".join(extra) or "no more"
    return f"`returns` promises {promises}; the query gives {gives}"


def _line_of(artefact: Artefact, field: str) -> int:
    lines = artefact.text.splitlines()
    return next(
        i for i, line in enumerate(lines, start=1) if line.removeprefix("// ").startswith(f"{field}:")
    )


def _place(body: str, first_line: int, start: int) -> tuple[int, int]:
    """Line and column in the file of a place in the body."""
    before = body[:start]
    return first_line + before.count("\n"), start - (before.rfind("\n") + 1) + 1


def _shown(artefact: Artefact) -> str:
    """The path as a reader in the repository's top folder knows it."""
    top = contents.root().parent
    return str(artefact.path.relative_to(top)) if artefact.path.is_relative_to(top) else str(artefact.path)


def _without_allowed(found: set[Finding], artefacts: Sequence[Artefact]) -> Iterator[Finding]:
    allowed = {(_shown(artefact), code): artefact for artefact in artefacts for code in artefact.allows}
    met = {(finding.path, finding.code) for finding in found}
    for finding in found:
        if (finding.path, finding.code) not in allowed:
            yield finding
    for (path, code), artefact in allowed.items():
        if (path, code) not in met:
            yield Finding(
                path,
                _line_of(artefact, "allows"),
                1,
                "HR9",
                f"`allows` names {code}, which is not found: take it out",
            )
