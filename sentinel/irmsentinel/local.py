"""A folder of tables on this machine, ready to be queried as a workspace would be."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from irmsentinel import samples, tables
from irmsentinel.content import Content
from irmsentinel.engine import Engine, load_folder


def opened(content: Content, folder: Path) -> tuple[Engine, datetime]:
    """An engine with the folder's tables, and the time it is there. Raises DataError."""
    engine = Engine(content.on_this_machine())
    load_folder(engine, folder, tables.shapes(tables.load(content.root / "tables")))
    return engine, samples.clock(folder) or datetime.now(UTC)
