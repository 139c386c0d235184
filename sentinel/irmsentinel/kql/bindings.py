"""Which texts Microsoft's parser binds, and against which workspaces.

A workspace here is a set of tables and functions: those that the chosen artefacts name. Each artefact is
bound against one workspace per shape of the tables that it names, and against a *minimal* workspace that has
only the tables that the artefact ``needs``. The body of a function is bound on its own, because the binder
does not look into stored functions. What calls it is bound against the columns that it declares, which is
many times as fast.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from irmsentinel.content import artefacts, tables
from irmsentinel.content.artefacts import Artefact, Content
from irmsentinel.content.tables import Table

_MINIMAL = "only "
_LOCAL = "local engine"
_OUR_SHAPE = "our shape"


@dataclass(frozen=True)
class Binding:
    """A text to bind against a workspace; the artefact's body begins at ``offset`` in the text."""

    artefact: Artefact
    workspace: str
    text: str
    offset: int

    @property
    def minimal(self) -> bool:
        """Whether the workspace has only the tables that the artefact needs."""
        return self.workspace.startswith(_MINIMAL)


def bindings(content: Content, known: Sequence[Table], chosen: Collection[Artefact]) -> Iterator[Binding]:
    """Each chosen artefact against every workspace that it must work in."""
    for artefact in chosen:
        if artefact in content.overrides:
            names = [_LOCAL]
        elif artefact.shape:
            names = [artefact.shape]
        else:
            words = _words(artefact)
            shapes = {table.shape for table in known if table.shape and table.name in words}
            names = [*sorted(shapes), _OUR_SHAPE, _minimal(artefact)]
        for name in names:
            yield _binding(artefact, name)


def _binding(artefact: Artefact, workspace: str) -> Binding:
    if artefact.parameters is None:
        return Binding(artefact, workspace, artefact.body, 0)
    start = f"let it = ({artefact.signature}) {{ "
    arguments = ", ".join(artefacts.TYPES[p.type] for p in artefact.parameters)
    return Binding(artefact, workspace, f"{start}{artefact.body}\n}};\nit({arguments})", len(start))


def workspaces(content: Content, known: Sequence[Table], chosen: Collection[Artefact]) -> dict[str, Any]:
    """The tables and functions of each workspace, as the parser's script takes them."""
    words = _words(*chosen)
    # With its parenthesis: the aggregation `print` has an operator's name.
    called = {word for each in chosen for word in re.findall(r"\w+(?=\()", each.body)}
    shapes = {"", *(table.shape for table in known)}
    known = [table for table in known if table.name in words]
    functions = [_function(artefact) for artefact in content.functions if artefact.name in called]
    by_name = {
        shape or _OUR_SHAPE: {"tables": _declared(known, shape), "functions": functions} for shape in shapes
    }
    for artefact in chosen:
        needed = [table for table in _declared(known, "") if table["name"] in artefact.needs]
        by_name[_minimal(artefact)] = {"tables": needed, "functions": functions}
    return {
        **by_name,
        _LOCAL: {
            "tables": [*_declared(known, ""), *_packed(known)],
            "functions": [_function(each) for each in content.local_functions() if each.name in called],
        },
    }


def _words(*chosen: Artefact) -> set[str]:
    """All names in their texts, and those of tables as the local engine's overrides call them."""
    return {word.removesuffix("__packed") for each in chosen for word in re.findall(r"\w+", each.body)}


def _minimal(artefact: Artefact) -> str:
    return _MINIMAL + ", ".join(sorted(artefact.needs))


def _function(artefact: Artefact) -> Mapping[str, str]:
    return {"name": artefact.name, "parameters": artefact.signature, "body": artefact.declaration().body}


def _declared(known: Sequence[Table], shape: str) -> list[dict[str, str]]:
    by_name = tables.shapes(known)
    chosen = (shapes.get(shape, shapes[""]) for shapes in by_name.values())
    return [{"name": table.name, "columns": table.declaration} for table in chosen]


def _packed(known: Sequence[Table]) -> list[dict[str, str]]:
    columns = "TimeGenerated:datetime, Record:dynamic"
    return [{"name": f"{name}__packed", "columns": columns} for name in {t.name for t in known}]
