"""What an export did. No value here holds a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from irmcore.counts import Counts
from irmcore.errors import DamageError
from irmcore.outbox import Outbox

from irmsentinel.content.aggregations import Span
from irmsentinel.export.cursor import Cursor, CursorFile
from irmsentinel.export.source_rows import NoRows


@dataclass(frozen=True)
class Outcome:
    """The outcome of one export.

    ``span``: the time that was read, None if nothing was due; ``read_to``: the cursor; ``no_rows``: why
    nothing was read, None if rows were; ``error``: None, or kind, message, position and next step.
    """

    aggregation: str
    workspace: str
    connector: str
    started: datetime
    ended: datetime
    span: Span | None = None
    read_to: datetime | None = None
    queries: int = 0
    counts: Counts = field(default_factory=Counts)
    changed: int = 0
    batches: int = 0
    no_rows: NoRows | None = None
    error: dict[str, str | None] | None = None

    @property
    def succeeded(self) -> bool:
        return self.error is None


@dataclass(frozen=True)
class ExportRun:
    """One export of a run.

    ``outbox`` is None if its connector could not be used, ``outcome`` if the export was not due.
    """

    aggregation: str
    workspace: str
    profile: str
    outbox: Outbox | None
    outcome: Outcome | None

    @property
    def name(self) -> str:
        """A name that is unique on this machine."""
        return f"{self.aggregation} {self.workspace} {Path(self.profile).stem}"

    def cursor(self) -> Cursor | None:
        """The cursor; None if unknown. The outcome reports a damaged one."""
        if self.outbox is None:
            return None
        try:
            return CursorFile(self.outbox, self.aggregation, self.workspace).load()
        except DamageError:
            return None
