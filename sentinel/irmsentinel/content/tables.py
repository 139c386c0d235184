"""The columns of the Log Analytics tables that the content reads, from ``tables/*.json``.

A table that exists in several shapes has one file per shape, ``NAME.SHAPE.json``. The file without a shape is
the table that this project creates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from irmsentinel.content.artefacts import Column

#: The function that resolves account names to users.
IDENTITY = "IRMAccountNames"
#: A comment or a text literal of KQL.
LITERALS = re.compile(r"//[^\n]*|@?\"(?:\\.|[^\"\\\n])*\"|@?'(?:\\.|[^'\\\n])*'")


@dataclass(frozen=True)
class Table:
    """A table in one shape; ``""`` is the only shape, or the one that this project creates."""

    name: str
    shape: str
    columns: tuple[Column, ...]

    @property
    def declaration(self) -> str:
        """The columns as KQL declares them."""
        return ", ".join(f"{column.name}:{column.type}" for column in self.columns)


def load(*folders: Path) -> tuple[Table, ...]:
    """All tables of the folders in all shapes."""
    return tuple(_read(path) for folder in folders for path in sorted(folder.glob("*.json")))


def _read(path: Path) -> Table:
    document = json.loads(path.read_text(encoding="utf-8"))
    columns = tuple(Column(entry["Name"], entry["Type"].lower()) for entry in document["Properties"])
    return Table(document["Name"], path.stem.partition(".")[2], columns)


def named_in(kql: str, *folders: Path) -> tuple[str, ...]:
    """The tables that a query names, itself or in the functions it calls, in the order of the text.

    Left out is ``IDENTITY``, which is no source of rows.
    """
    known = {path.name.partition(".")[0] for top in folders for path in (top / "tables").glob("*.json")}
    functions = {path.stem: path for top in folders for path in top.glob("parsers/*.kql")}
    functions.pop(IDENTITY, None)
    found: dict[str, None] = {}

    def visit(text: str) -> None:
        for word in dict.fromkeys(re.findall(r"\w+", LITERALS.sub("", text))):
            if word in known:
                found[word] = None
            elif word in functions:
                visit(functions.pop(word).read_text(encoding="utf-8"))

    visit(kql)
    return tuple(found)


def shapes(tables: Collection[Table]) -> Mapping[str, Mapping[str, Table]]:
    """Table name → shape → table."""
    found: dict[str, dict[str, Table]] = {}
    for table in tables:
        found.setdefault(table.name, {})[table.shape] = table
    return found


def fitting(candidates: Collection[Table], columns: Collection[str]) -> Table:
    """The shape that has most of these columns; of several, the one with the fewest columns."""
    return min(candidates, key=lambda t: (len(set(columns) - {c.name for c in t.columns}), len(t.columns)))
