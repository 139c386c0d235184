"""Shape a table block by block: in this process, or in worker processes where the input is a large file.

The blocks come in the order of the input, and are the same whichever process shaped them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

from irmcore.errors import InputError
from irmcore.intake.block_shaper import BlockShaper, PlannedBlock, Shaped
from irmcore.intake.wire_times import Candidates
from irmcore.intake.workers import ChunkLost, Workers, worker_count
from irmcore.profile import Profile
from irmcore.shaping.batches import Lines
from irmcore.shaping.blocks import BLOCK_ROWS, Block
from irmcore.shaping.collisions import GreatestRows
from irmcore.shaping.readers import Reopenable, Table
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.rows import ShapedBlock


def planned_blocks(
    table: Table, profile: Profile, shaper: BlockShaper, name: str, workers: int | None
) -> Iterator[PlannedBlock]:
    """The shaped blocks of a table, whose ``name`` is for messages. Raises InputError.

    ``workers``: how many processes shape a file; None chooses by its size and this machine.
    """
    if profile.collisions.policy == "keep-greatest":
        yield from _greatest(table, profile, shaper)
        return
    file = table.reopenable
    if workers is None:
        workers = worker_count(file.size) if file is not None else 0
    if file is None or not workers:
        for source in table.blocks():
            yield shaper.plan(shaper.shape(source))
        return
    reader = _ChunkReader(file, name)
    with Workers(workers, partial(_work, file, shaper, workers), file.file) as processes:
        yield from _in_order(processes, reader, shaper)
    reader.refuse_a_change()


def _greatest(table: Table, profile: Profile, shaper: BlockShaper) -> Iterator[PlannedBlock]:
    """What `collisions: keep-greatest` keeps, after a block without rows for each block that was read."""
    roles = [column.role for column in profile.columns]
    greatest, time_at = GreatestRows(roles.index("threshold")), roles.index("time")
    for source in table.blocks():
        shaped = shaper.shape(source)
        for at, row in zip(shaped.block.positions, shaped.block.rows()):
            greatest.add((source.lines[at], tuple(source.rows[at]), row))
        yield shaper.without_rows(shaped)
    merged, kept = greatest.merged, greatest.rows()
    for start in range(0, len(kept), BLOCK_ROWS):
        lines, values, rows = zip(*kept[start : start + BLOCK_ROWS])
        block = Shaped(Block(values, lines), ShapedBlock.of(rows, time_at), [], len(table.header))
        yield shaper.plan(block)._replace(read=0, merged=merged)
        merged = 0


def _work(file: Reopenable, shaper: BlockShaper, workers: int, number: int) -> Iterator[Any]:
    """What worker ``number`` does: the plan of every n-th chunk, or () where each row must be looked at."""
    chunks = file.walk(lambda at: at % workers == number)
    for source in (found for at, found in enumerate(chunks) if at % workers == number):
        planned = shaper.plan(shaper.shape(source)) if isinstance(source, Block) else None
        if planned is None or not planned.fits:
            yield ()
            continue
        lines = planned.lines()
        refused = list(map(tuple, planned.refused))
        dropped = planned.excluded, planned.out_of_scope
        records = planned.days, planned.identities, planned.originals
        yield planned.read, refused, records, lines.text, lines.ends, dropped


def _in_order(workers: Workers, reader: _ChunkReader, shaper: BlockShaper) -> Iterator[PlannedBlock]:
    """The chunks of all workers in the order of the file. What no worker gives is shaped here."""
    for number in count():
        try:
            found = workers.result(number)
        except ChunkLost:
            source = reader.chunk(number)
            if source is None:
                return
            found = ()
        if found is None:
            return
        if not found:
            yield shaper.plan(shaper.shape(reader.existing(number)))
            continue
        read, refused, (days, identities, originals), text, ends, (excluded, out_of_scope) = found
        yield PlannedBlock(
            read=read,
            merged=0,
            refused=[Reject(*each) for each in refused],
            days=days,
            identities=identities,
            originals=originals,
            fits=True,
            lines=partial(Lines, text, ends),
            details=partial(_details, shaper, reader, number),
            excluded=excluded,
            out_of_scope=out_of_scope,
        )


def _details(shaper: BlockShaper, reader: _ChunkReader, number: int) -> tuple[Shaped, Candidates]:
    return shaper.details(reader.existing(number))


class _ChunkReader:
    """Reads a few chunks of a file, in ascending order, and notices when somebody writes to it.

    ``name`` is for messages.
    """

    def __init__(self, file: Reopenable, name: str) -> None:
        self._file = file.file
        self._name = name
        self._before = self._stamp()
        self._wanted = -1
        self._chunks = enumerate(file.walk(lambda at: at == self._wanted))
        self._last: tuple[int, Block | int] = (-1, 0)

    def chunk(self, number: int) -> Block | None:
        """The chunk with this number, which is not below the last one; None after the end."""
        self._wanted = number
        while self._last[0] < number:
            found = next(self._chunks, None)
            if found is None:
                return None
            self._last = found
        return self._last[1] if isinstance(self._last[1], Block) else None

    def existing(self, number: int) -> Block:
        """The same for a chunk that a worker has seen. Raises InputError if it need not be the same now."""
        block = self.chunk(number)
        self.refuse_a_change()
        if block is None:
            raise RuntimeError(f"chunk {number} of an unchanged input was there once and is not now")
        return block

    def refuse_a_change(self) -> None:
        """Raise InputError if the file was written to since this began."""
        if self._stamp() != self._before:
            raise InputError(
                "the file was changed while it was read",
                where=self._name,
                next_step="Nothing was accepted. Run this again when nothing writes to the file.",
            )

    def _stamp(self) -> tuple[int, int]:
        """What changes when somebody writes to the file."""
        found = os.fstat(self._file)
        return found.st_size, found.st_mtime_ns
