"""Shape a block of input rows as far as the rows alone decide: canonical values, key, first time on the wire.

The result depends on no other row, so blocks can be shaped in any process and in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, NamedTuple

from irmcore.intake.wire_times import Candidates, WireTimes, identities
from irmcore.profile import Profile
from irmcore.shaping.batches import Lines
from irmcore.shaping.blocks import Block
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.rows import ShapedBlock, Shaper


class Shaped(NamedTuple):
    """A block as read, its shaped rows, and the refused ones. ``width``: fields in the header."""

    source: Block
    block: ShapedBlock
    refused: list[Reject]
    width: int

    def reject(self, at: int, column: str, code: str) -> Reject:
        """The refusal of the row at this position of ``source``."""
        return Reject(self.source.lines[at], column, code, tuple(self.source.rows[at][: self.width]))


class PlannedBlock(NamedTuple):
    """A block's rows at their first candidate times, and its refused rows.

    ``read`` and ``merged`` count input rows; ``identities`` holds one per row, end to end. ``fits``: no row
    can be too large for a batch. Placing a row at another time needs ``details``. A block from a worker
    process has to be shaped again for them.
    """

    read: int
    merged: int
    refused: list[Reject]
    days: Sequence[int]
    identities: bytes
    fits: bool
    lines: Callable[[], Lines]
    details: Callable[[], tuple[Shaped, Candidates]]


class BlockShaper:
    """Shapes the blocks of one input."""

    def __init__(
        self,
        profile: Profile,
        header: Sequence[str],
        name: str,
        times: WireTimes,
        surely_fits: Callable[[int], bool],
    ) -> None:
        """``name`` is the input's, for messages; ``surely_fits`` says whether a row of so many bytes does.

        Raises InputError if the header lacks a field that the profile needs.
        """
        self._shaper = Shaper(profile, header, name=name)
        self._width = len(header)
        self._times = times
        self._surely_fits = surely_fits

    def shape(self, source: Block) -> Shaped:
        block, refusals = self._shaper.shape_block(source)
        shaped = Shaped(source, block, [], self._width)
        for row in source.refused:
            shaped.refused.append(Reject(row.line, "", row.refused or "", row.values))
        for at, why in refusals:
            shaped.refused.append(shaped.reject(at, why.column, why.code))
        return shaped

    def plan(self, shaped: Shaped) -> PlannedBlock:
        """The shaped rows at their first candidate times."""
        block, first = shaped.block, self._times.first(shaped.block)
        return PlannedBlock(
            read=len(shaped.source),
            merged=0,
            refused=shaped.refused,
            days=first.days,
            identities=b"".join(identities(first.user_times, block.keys)),
            fits=self._surely_fits(block.largest),
            lines=lambda: self._times.lines(block, first.times),
            details=lambda: (shaped, first),
        )

    def without_rows(self, shaped: Shaped) -> PlannedBlock:
        """What was read and refused of a block whose rows are planned later."""
        return PlannedBlock(
            read=len(shaped.source),
            merged=0,
            refused=shaped.refused,
            days=(),
            identities=b"",
            fits=True,
            lines=lambda: Lines(b"", ()),
            details=lambda: (shaped, Candidates([], [], [])),
        )

    def details(self, source: Block) -> tuple[Shaped, Candidates]:
        """The details of a block that was planned elsewhere."""
        shaped = self.shape(source)
        return shaped, self._times.first(shaped.block)
