"""Fill batches with rows, in their order, up to the limits of the profile."""

from __future__ import annotations

from collections.abc import Iterator

from irmcore.intake.placement import OutgoingRows
from irmcore.outbox.rowkeys import IDENTITY, ORIGINAL, pack_columns, parts
from irmcore.shaping.batches import Batcher


class FilledBatch:
    """The payload of a batch that has no id yet, and what its ``rowkeys`` need besides the id."""

    def __init__(
        self, payload: bytes, identities: list[bytes], days: list[int], originals: list[bytes]
    ) -> None:
        self.payload = payload
        self.rows = len(identities)
        self._identities, self._days, self._originals = identities, days, originals

    def rowkeys(self, batch: bytes) -> bytes:
        """The records of ``rowkeys`` of the batch with this id (32 bytes)."""
        return pack_columns(self._identities, self._days, batch[:8], self._originals)


class BatchFiller:
    """Collects rows and gives each batch as soon as it is full. ``rows`` counts all that were added."""

    def __init__(self, batcher: Batcher) -> None:
        self.rows = 0
        self._batcher = batcher
        self._identities: list[bytes] = []
        self._days: list[int] = []
        self._originals: list[bytes] = []

    def fill(self, rows: OutgoingRows) -> Iterator[FilledBatch]:
        """Add rows; returns the batches that they complete."""
        total = len(rows.days)
        self.rows += total
        identities = parts(rows.identities, IDENTITY.size)
        originals = parts(rows.originals, ORIGINAL.size)
        start = 0
        while start < total:
            end = self._batcher.fill(rows.lines, start)
            self._identities += identities[start:end]
            self._days += rows.days[start:end]
            self._originals += originals[start:end]
            start = end
            if start < total:
                yield self._take()

    def rest(self) -> Iterator[FilledBatch]:
        """The last batch, if it has any row."""
        if len(self._batcher):
            yield self._take()

    def _take(self) -> FilledBatch:
        filled = FilledBatch(self._batcher.take(), self._identities, self._days, self._originals)
        self._identities, self._days, self._originals = [], [], []
        return filled
