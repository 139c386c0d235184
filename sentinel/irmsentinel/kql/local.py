"""Open a folder of tables for queries, as if it were a workspace."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from irmcore.errors import DataError

from irmsentinel.content import samples, tables
from irmsentinel.content.artefacts import Artefact, Content
from irmsentinel.kql.engine import Engine, load_folder


def open_folder(content: Content, folder: Path, artefact: Artefact | None = None) -> tuple[Engine, datetime]:
    """An engine with the folder's tables, and the time that queries see as now.

    Raises DataError, also if the folder lacks a table that the query `artefact` needs.
    """
    engine = Engine(content.local_functions())
    shapes = tables.shapes(tables.load(*(folder / "tables" for folder in content.folders)))
    found = {table.name: table for table in load_folder(engine, folder, shapes)}
    for need in artefact.needs if artefact else ():
        shape = artefact.shape if artefact and artefact.shape in shapes[need] else None
        if need not in found or (shape and found[need].shape != shape):
            raise DataError(
                f"the query needs the table {need}" + (f" in its {shape} shape" if shape else ""),
                where=str(folder),
                next_step=f"Put a file {need}.jsonl there with those columns.",
            )
    return engine, samples.clock(folder) or datetime.now(UTC)
