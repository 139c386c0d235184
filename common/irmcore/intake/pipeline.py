"""Rows in, batches out. A row goes through these steps once, in this order:

``shape_table``   canonical values, user, row key and first time on the wire (here or in worker processes)
``placement``     skipped, merged or refused? if not, at which time does it go out
``batch_filler``  its line goes into the batch that is being filled
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Callable

from irmcore.counts import Counts
from irmcore.intake.batch_filler import BatchFiller, FilledBatch
from irmcore.intake.block_shaper import BlockShaper
from irmcore.intake.ledger.index import Ledger
from irmcore.intake.placement import Placement
from irmcore.intake.shape_table import planned_blocks
from irmcore.intake.wire_times import WireTimes
from irmcore.profile import Profile
from irmcore.shaping.batches import Batcher
from irmcore.shaping.readers import Table
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.users import Users

#: How often ``progress`` is called, in rows.
PROGRESS_ROWS = 2_000

#: Called with the number of rows that have been read so far.
Progress = Callable[[int], None]


class Pipeline:
    """Turns the rows of one table into batches and counts what happened to each row.

    Used once, or for several tables in turn, whose rows are then placed as if they were of one.
    """

    def __init__(
        self,
        profile: Profile,
        ledger: Ledger | None,
        workers: int | None = None,
        users: Users | None = None,
        now: float = 0,
    ) -> None:
        """Without a ``ledger`` no row counts as accepted before.

        ``users`` and ``now`` are as for a ``Shaper``.
        ``workers``: processes that shape a file; None chooses by its size and this machine.
        """
        self._profile = profile
        self._workers = workers
        self._users = users
        self._now = now
        self._batcher = Batcher(profile)
        self._times = WireTimes(profile)
        self._placement = Placement(profile, ledger, self._times, self._batcher)
        self._filler = BatchFiller(self._batcher)
        self._read = self._merged = self._rejected = self._out_of_scope = self._excluded = 0
        self.reasons: Counter[tuple[str, str]] = Counter()

    @property
    def changed(self) -> int:
        """Rows of a detection that was accepted before with other details."""
        return self._placement.changed

    def counts(self) -> Counts:
        merged = self._merged + self._placement.merged
        return Counts(
            self._read,
            self._filler.rows,
            merged,
            self._placement.skipped,
            self._rejected,
            self._out_of_scope,
            self._excluded,
        )

    def batches(
        self,
        table: Table,
        name: str,
        progress: Progress | None = None,
        on_reject: Callable[[Reject, tuple[str, ...]], None] | None = None,
        on_row: Callable[[tuple[str, ...]], None] | None = None,
    ) -> Iterator[FilledBatch]:
        """The batches of ``table``, each as soon as it is full. Raises InputError.

        ``on_reject`` gets each refused row and the header, ``on_row`` each row that goes out.
        """
        shaper = BlockShaper(
            self._profile,
            table.header,
            name,
            self._times,
            surely_fits=self._batcher.surely_fits,
            users=self._users,
            asks=table.asks,
            now=self._now,
        )
        for planned in planned_blocks(table, self._profile, shaper, name, self._workers):
            self._count_read(planned.read, progress)
            self._merged += planned.merged
            self._out_of_scope += planned.out_of_scope
            self._excluded += planned.excluded
            rows, refused = self._placement.place(planned)
            for reject in sorted([*planned.refused, *refused], key=_line_of):
                self._rejected += 1
                self.reasons[reject.column, reject.code] += 1
                if on_reject is not None:
                    on_reject(reject, table.header)
            if on_row is not None:
                for fields in rows.lines.rows():
                    on_row(fields)
            yield from self._filler.fill(rows)
        yield from self._filler.rest()

    def _count_read(self, rows: int, progress: Progress | None) -> None:
        before, self._read = self._read, self._read + rows
        if progress is not None:
            for tick in range(before // PROGRESS_ROWS + 1, self._read // PROGRESS_ROWS + 1):
                progress(tick * PROGRESS_ROWS)


def _line_of(reject: Reject) -> int:
    return reject.line
