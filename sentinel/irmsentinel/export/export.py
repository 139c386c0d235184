"""Workspace → outbox: one aggregation of one workspace, window by window.

For each piece of time: accept its rows (batches and row ledger), then move the cursor past it. After a crash
between the two, or in the middle of a piece that is read in parts, the next run reads the piece again and the
row ledger skips the rows that were accepted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from irmcore.clock import Clock, SystemClock
from irmcore.counts import Counts
from irmcore.errors import ConfigurationError, DamageError, DataError, IrmError
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Outbox
from irmcore.shaping.readers import Table

from irmsentinel.content.aggregations import Aggregation, Span, iso
from irmsentinel.export import source_rows, windows
from irmsentinel.export.cursor import CursorFile
from irmsentinel.export.outcome import Outcome
from irmsentinel.export.reader import Reader, Source
from irmsentinel.export.rows import table
from irmsentinel.export.source_rows import NoRows
from irmsentinel.kql.result import Result


class Connector(Protocol):
    """Where the rows go: a connector's outbox, and how it accepts rows."""

    @property
    def outbox(self) -> Outbox:
        """The connector's outbox; it may not exist yet."""

    def accept(self, table: Table, *, name: str, details: Mapping[str, str]) -> RunResult:
        """Shape rows and store them durably. Raises IrmError; then no row was accepted."""

    def dry_run(self, table: Table, *, name: str) -> RunResult:
        """Shape rows and count them; writes nothing."""


class Export:
    """One aggregation, one source, one connector. Use it once."""

    def __init__(
        self,
        aggregation: Aggregation,
        source: Source,
        connector: Connector,
        *,
        clock: Clock | None = None,
        on_accepted: Callable[[RunResult], None] = lambda _: None,
    ) -> None:
        """`on_accepted` is called with the result of each piece of rows."""
        self._aggregation = aggregation
        self._source = source
        self._connector = connector
        self._dry = False
        self._clock = clock or SystemClock()
        self._on_accepted = on_accepted
        self._cursor = CursorFile(connector.outbox, aggregation.name, source.label)
        self._counts = Counts()
        self._changed = self._batches = 0

    def read_to(self, now: datetime) -> datetime | None:
        """The cursor; None before the first run.

        Raises DamageError for a damaged cursor, and for one after ``now``, which a wrong clock wrote: an
        export would read nothing until that time, and never read what happens until then.
        """
        cursor = self._cursor.load()
        if cursor is not None and cursor.read_to > now:
            raise DamageError(
                f"the cursor is in the future ({iso(cursor.read_to)}): the clock is or was wrong",
                where=self._cursor.path,
                next_step="Correct the clock, or remove the file: rows that were sent are skipped.",
            )
        return cursor.read_to if cursor else None

    def run(self, now: datetime, span: Span | None = None, *, dry: bool = False) -> Outcome:
        """Export what is due; with a ``span`` only that, without moving the cursor.

        ``dry``: write nothing. Raises IrmError.
        """
        started, self._dry = self._now(), dry
        if span is not None and span.end > now:
            raise ConfigurationError(
                "the requested time has not ended: its numbers would be sent now, and again when it has",
                where=f"{self._aggregation.name}, until {iso(span.end)}",
                next_step="Choose a time that has ended.",
            )
        due = span or windows.due(self._aggregation, self.read_to(now), now)
        reader = Reader(self._aggregation, self._source, self._clock)
        moves, no_rows = span is None and not dry, None
        if due is not None:
            self._export(reader, due, moves=moves)
            no_rows = self._no_rows(due, now) if not self._counts.read else None
            if moves:
                self._cursor.move(due.end, self._now(), no_rows)
        cursor = self._cursor.load()
        return Outcome(
            aggregation=self._aggregation.name,
            workspace=self._source.label,
            connector=self._connector.outbox.path.rsplit("/", 1)[-1],
            started=started,
            ended=self._now(),
            span=due,
            read_to=cursor.read_to if cursor else None,
            queries=reader.queries,
            counts=self._counts,
            changed=self._changed,
            batches=self._batches,
            no_rows=no_rows,
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    def _export(self, reader: Reader, span: Span, *, moves: bool) -> None:
        for piece, results in reader.pieces(span):
            for result, part in results:
                self._accept(result, piece, part)
                del result  # before the next query: a result may have half a million rows
            if moves:
                self._cursor.move(piece.end, self._now())

    def _no_rows(self, span: Span, now: datetime) -> NoRows | None:
        """Why the span had no rows. An export that is done does not fail because of this question."""
        tables = self._aggregation.tables
        try:
            return source_rows.explain(tables, self._source.query(source_rows.query(tables)), span, now)
        except IrmError as error:
            return NoRows("", f"it is unknown whether its tables have rows ({error.what})")

    def _accept(self, result: Result, piece: Span, part: str) -> None:
        self._check_columns(result)
        name = f"{self._aggregation.name} {piece}"
        if self._dry:
            done = self._connector.dry_run(table(result), name=name)
        else:
            done = self._connector.accept(table(result), name=name, details=self._details(piece, part))
        self._counts += done.counts
        self._changed += done.changed
        self._batches += len(done.sizes)
        self._on_accepted(done)

    def _details(self, piece: Span, part: str) -> dict[str, str]:
        """The origin of the rows, for the audit record."""
        return {
            "aggregation": self._aggregation.name,
            "query_sha256": hashlib.sha256(self._aggregation.query.encode()).hexdigest(),
            "workspace": self._source.label,
            "window": str(piece),
            "part": part,
        }

    def _check_columns(self, result: Result) -> None:
        given = [column.name for column in result.columns]
        promised = [column.name for column in self._aggregation.returns]
        if given != promised:
            raise DataError(
                f"the result has the columns {', '.join(given)}, not {', '.join(promised)}",
                where=self._aggregation.name,
                next_step="Check the aggregation with `make kql`.",
            )
