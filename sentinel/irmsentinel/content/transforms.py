"""Data collection rules (DCR): the stream that accepts rows, and the transformation into the table.

``dcr/TABLE.kql`` is a rule's ``transformKql``. The stream has the table's columns except for those that the
transformation adds. A rule supports less KQL than a workspace, and Microsoft's parser does not know the
difference: the tests compare each text with Microsoft's list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from irmsentinel.content import tables
from irmsentinel.content.artefacts import Column
from irmsentinel.content.tables import Table

FOLDER = "dcr"


@dataclass(frozen=True)
class Transform:
    """The path into ``table``: the ``columns`` of the stream, and the transformation ``kql``."""

    table: Table
    columns: tuple[Column, ...]
    kql: str

    @property
    def stream(self) -> str:
        return f"Custom-{self.table.name}"


def load(top: Path) -> tuple[Transform, ...]:
    """All transformations of the content."""
    known = tables.shapes(tables.load(top / "tables"))
    return tuple(_read(file, known[file.stem][""]) for file in sorted((top / FOLDER).glob("*.kql")))


def _read(file: Path, table: Table) -> Transform:
    kql = file.read_text(encoding="utf-8").strip()
    added = set(re.findall(r"(?<=extend )\w+(?= =)", kql))
    return Transform(table, tuple(column for column in table.columns if column.name not in added), kql)
