"""Workspace → outbox: one aggregation of one workspace, window by window.

The order of the durable steps, for each piece of time: its rows are accepted by the intake (batches and row
ledger), then the cursor moves over it. Killed between the two, the next run reads the piece again and the
ledger skips its rows. Killed in the middle of a piece that was read in parts, the same.

An answer that is cut off, or not ready in the service's ten minutes, is never used: the piece is read again
in halves of its windows, down to one window, then by parts of its users. One query at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from irmcore.clock import Clock, SystemClock
from irmcore.counts import Counts
from irmcore.errors import ConfigurationError, DamageError, DataError
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Outbox
from irmcore.shaping.blocks import BLOCK_ROWS, Block, Rows, next_block_rows
from irmcore.shaping.readers import Table

from irmsentinel.azure.query_errors import Throttled, TooMuch
from irmsentinel.content.aggregations import Aggregation, Span, iso
from irmsentinel.export import windows
from irmsentinel.export.cursor import Cursor, CursorFile
from irmsentinel.kql.result import Result, cell

#: The longest piece of time that is asked for at once.
LONGEST = timedelta(days=7)
#: Parts of the users that one window is split into at the most.
MAX_PARTS = 64
#: How often a query that the service puts off is asked again, and how long it is waited in all, in seconds.
ATTEMPTS = 6
MAX_WAIT_S = 900.0
_FIRST_WAIT_S = 5.0


class Source(Protocol):
    """Where the rows come from: a workspace, or tables on this machine."""

    @property
    def label(self) -> str:
        """What it is called: a workspace's id, or a name for a local folder."""

    def query(self, kql: str) -> Result:
        """The result of a query. Raises TooMuch, Throttled or another IrmError."""


class Connector(Protocol):
    """Where the rows go: a connector's outbox, and how it accepts rows (irmcli has the real one)."""

    @property
    def outbox(self) -> Outbox:
        """The connector's outbox; it may not exist yet."""

    def accept(self, table: Table, *, name: str, details: Mapping[str, str]) -> RunResult:
        """Shape rows and store them durably. Raises IrmError if no row was accepted."""

    def dry_run(self, table: Table, *, name: str) -> RunResult:
        """Shape rows and count them; writes nothing."""


@dataclass(frozen=True)
class Outcome:
    """What an export came to, for whoever keeps the record of it. Holds no row.

    ``read_to`` is where the cursor stands; ``error`` is None, or kind, text, place and next step.
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
    error: dict[str, str | None] | None = None

    @property
    def succeeded(self) -> bool:
        return self.error is None


@dataclass(frozen=True)
class ExportRun:
    """One export of a run.

    ``box`` is None if there was no way to its connector, ``outcome`` if it was not due.
    """

    aggregation: str
    workspace: str
    profile: str
    outbox: Outbox | None
    outcome: Outcome | None

    @property
    def name(self) -> str:
        """What tells it from the others of this machine."""
        return f"{self.aggregation} {self.workspace} {Path(self.profile).stem}"

    def cursor(self) -> Cursor | None:
        """Where it stands; None if that is not known. That a cursor is damaged, the outcome says."""
        if self.outbox is None:
            return None
        try:
            return CursorFile(self.outbox, self.aggregation, self.workspace).load()
        except DamageError:
            return None


@dataclass
class _Sums:
    counts: Counts = field(default_factory=Counts)
    changed: int = 0
    batches: int = 0
    queries: int = 0


class Export:
    """One aggregation, one source, one connector. Used once."""

    def __init__(
        self,
        aggregation: Aggregation,
        source: Source,
        connector: Connector,
        *,
        clock: Clock | None = None,
        on_accepted: Callable[[RunResult], None] = lambda _: None,
    ) -> None:
        """`on_accepted` is given what became of the rows of each piece."""
        self._aggregation = aggregation
        self._source = source
        self._connector = connector
        self._dry = False
        self._clock = clock or SystemClock()
        self._on_accepted = on_accepted
        self._keeper = CursorFile(connector.outbox, aggregation.name, source.label)
        self._sums = _Sums()

    def read_to(self, now: datetime) -> datetime | None:
        """Where the cursor stands. Raises DamageError, also for one that a wrong clock put after ``now``.

        Nothing would be read until then, and what happened until then never.
        """
        cursor = self._keeper.load()
        if cursor is not None and cursor.read_to > now:
            raise DamageError(
                f"the cursor stands at {iso(cursor.read_to)}, which is to come: a clock is or was wrong",
                where=self._keeper.path,
                next_step="Set the clock right, or remove the file: rows that were sent are skipped.",
            )
        return cursor.read_to if cursor else None

    def run(self, now: datetime, span: Span | None = None, *, dry: bool = False) -> Outcome:
        """Read what is to be read; with a ``span`` just that, and the cursor stays.

        ``dry``: nothing is written. Raises IrmError.
        """
        started, self._dry = self._now(), dry
        if span is not None and span.end > now:
            raise ConfigurationError(
                "the time asked for is not over: its numbers would be sent twice, now and when it is",
                where=f"{self._aggregation.name}, until {iso(span.end)}",
                next_step="Ask for windows that have ended.",
            )
        wanted = span or windows.wanted(self._aggregation, self.read_to(now), now)
        if wanted is not None:
            self._read(wanted, moves=span is None and not self._dry)
        cursor = self._keeper.load()
        return Outcome(
            aggregation=self._aggregation.name,
            workspace=self._source.label,
            connector=self._connector.outbox.path.rsplit("/", 1)[-1],
            started=started,
            ended=self._now(),
            span=wanted,
            read_to=cursor.read_to if cursor else None,
            queries=self._sums.queries,
            counts=self._sums.counts,
            changed=self._sums.changed,
            batches=self._sums.batches,
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    def _read(self, span: Span, *, moves: bool) -> None:
        length, window = LONGEST, self._aggregation.window
        while span.start < span.end:
            piece = windows.first_of(span, length)
            try:
                answers: Iterator[tuple[Result, str]] = iter([(self._ask(piece, 0, 1), "1/1")])
            except TooMuch:
                shorter = windows.shorter(piece, window)
                if shorter is not None:
                    length = shorter  # and so for the rest of this run
                    continue
                answers = self._in_parts(piece)
            for result, part in answers:
                self._take(result, piece, part)
                del result  # before the next one is asked for: an answer may be half a million rows
            if moves:
                self._keeper.move(piece.end, self._now())
            span = replace(span, start=piece.end)

    def _in_parts(self, piece: Span) -> Iterator[tuple[Result, str]]:
        for part in (0, 1):
            yield from self._part(piece, part, 2)

    def _part(self, piece: Span, part: int, parts: int) -> Iterator[tuple[Result, str]]:
        """The answers for a part of the users: half of it is one of twice as many parts."""
        try:
            result = self._ask(piece, part, parts)
        except TooMuch:
            if parts * 2 > MAX_PARTS:
                raise DataError(
                    f"one window is too much for the service even by {parts} parts of its users",
                    where=f"{self._aggregation.name}, {piece}",
                    next_step="Let the workspace aggregate it by a summary rule: docs/sentinel.md.",
                ) from None
            yield from self._part(piece, part, parts * 2)
            yield from self._part(piece, part + parts, parts * 2)
            return
        yield result, f"{part + 1}/{parts}"

    def _ask(self, piece: Span, part: int, parts: int) -> Result:
        """One query, asked again as long as the service puts it off."""
        kql = self._aggregation.kql(piece, part, parts)
        begin, wait = self._clock.monotonic(), _FIRST_WAIT_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._sums.queries += 1
                return self._source.query(kql)
            except Throttled as later:
                pause = wait if later.seconds is None else later.seconds
                spent = self._clock.monotonic() - begin
                if attempt == ATTEMPTS or spent + pause > MAX_WAIT_S:
                    raise
                self._clock.sleep(pause)
                wait *= 2
        raise AssertionError("a query was neither answered nor given up")

    def _take(self, result: Result, piece: Span, part: str) -> None:
        self._refuse_other_columns(result)
        name = f"{self._aggregation.name} {piece}"
        if self._dry:
            done = self._connector.dry_run(table(result), name=name)
        else:
            done = self._connector.accept(table(result), name=name, details=self._details(piece, part))
        sums = self._sums
        sums.counts += done.counts
        sums.changed += done.changed
        sums.batches += len(done.sizes)
        self._on_accepted(done)

    def _details(self, piece: Span, part: str) -> dict[str, str]:
        """For the audit record."""
        return {
            "aggregation": self._aggregation.name,
            "query_sha256": hashlib.sha256(self._aggregation.query.encode()).hexdigest(),
            "workspace": self._source.label,
            "window": str(piece),
            "part": part,
        }

    def _refuse_other_columns(self, result: Result) -> None:
        given = [column.name for column in result.columns]
        promised = [column.name for column in self._aggregation.returns]
        if given != promised:
            raise DataError(
                f"the answer's columns are {', '.join(given)}, not {', '.join(promised)}",
                where=self._aggregation.name,
                next_step="Check the aggregation with `make kql`.",
            )


def table(result: Result) -> Table:
    """Rows of a result as an input for shaping: values as text."""
    return Table(tuple(column.name for column in result.columns), Rows(_blocks(result)))


def _blocks(result: Result) -> Iterator[Block]:
    """The rows some hundred at a time, each column of them turned into text at once."""
    kinds = [column.type for column in result.columns]
    start, size = 1, BLOCK_ROWS // 8
    walked = iter(result.rows)
    while part := list(islice(walked, size)):
        columns = list(map(_texts, zip(*part, strict=True), kinds))
        yield Block(None, range(start, start + len(part)), columns=columns)
        start, size = start + len(part), next_block_rows(columns, size)


def _texts(values: Sequence[Any], kind: str) -> Sequence[str]:
    """The values of a column as text; nothing is to be done for what is text all through."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return values
    if kinds == {int}:
        return list(map(str, values))
    return ["" if plain is None else str(plain) for plain in (cell(value, kind) for value in values)]
