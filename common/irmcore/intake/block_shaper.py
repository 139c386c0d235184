"""Shape a block of input rows as far as the rows alone decide: canonical values, key, first place.

The result depends on no other row, so blocks can be shaped in any process and in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, NamedTuple

from irmcore.intake.wire_times import Candidates, WireTimes, identities, originals
from irmcore.profile import Profile
from irmcore.shaping.batches import Lines
from irmcore.shaping.blocks import Block
from irmcore.shaping.reject_file import Reject
from irmcore.shaping.rows import ShapedBlock, Shaper
from irmcore.shaping.users import Users


class Shaped(NamedTuple):
    """A block as read, its shaped rows, and the refused ones. ``width``: fields in the header."""

    source: Block
    block: ShapedBlock
    refused: list[Reject]
    width: int

    def reject(self, at: int, column: str, code: str, candidates: tuple[str, ...] = ()) -> Reject:
        """The refusal of the row at this position of ``source``."""
        values = tuple(self.source.rows[at][: self.width])
        return Reject(self.source.lines[at], column, code, values, candidates)


class PlannedBlock(NamedTuple):
    """A block's rows at their first places, and its refused rows.

    ``read``, ``merged``, ``excluded`` and ``out_of_scope`` count input rows; ``identities`` and ``originals``
    hold one per row, end to end. ``fits``: no row can be too large for a batch. Placing a row elsewhere needs
    ``details``. A block from a worker process has to be shaped again for them.
    """

    read: int
    merged: int
    refused: list[Reject]
    days: Sequence[int]
    identities: bytes
    originals: bytes
    fits: bool
    lines: Callable[[], Lines]
    details: Callable[[], tuple[Shaped, Candidates]]
    excluded: int
    out_of_scope: int


class BlockShaper:
    """Shapes the blocks of one input."""

    def __init__(
        self,
        profile: Profile,
        header: Sequence[str],
        name: str,
        times: WireTimes,
        *,
        surely_fits: Callable[[int], bool],
        users: Users | None = None,
        asks: bool = False,
        now: float = 0,
    ) -> None:
        """``name`` is the input's, for messages; ``surely_fits`` says whether a row of so many bytes does.

        ``users`` resolves the user column; ``asks`` and ``now`` are as for a ``Shaper``.

        Raises InputError if the header lacks a field that the profile needs.
        """
        self._shaper = Shaper(profile, header, name=name, users=users, asks=asks, now=now)
        self._width = len(header)
        self._times = times
        self._surely_fits = surely_fits

    def shape(self, source: Block) -> Shaped:
        block, refusals = self._shaper.shape_block(source)
        shaped = Shaped(source, block, [], self._width)
        for row in source.refused:
            shaped.refused.append(Reject(row.line, "", row.refused or "", row.values))
        for at, why in refusals:
            shaped.refused.append(shaped.reject(at, why.column, why.code, why.candidates))
        return shaped

    def plan(self, shaped: Shaped) -> PlannedBlock:
        """The shaped rows at their first places."""
        block, first = shaped.block, self._times.first(shaped.block)
        return PlannedBlock(
            read=len(shaped.source),
            merged=0,
            refused=shaped.refused,
            days=first.days,
            identities=b"".join(identities(first.user_times, block.keys)),
            originals=originals(block),
            fits=self._surely_fits(block.largest),
            lines=lambda: self._times.lines(block, first.times),
            details=lambda: (shaped, first),
            excluded=block.excluded,
            out_of_scope=block.out_of_scope,
        )

    def without_rows(self, shaped: Shaped) -> PlannedBlock:
        """What was read and refused of a block whose rows are planned later."""
        return PlannedBlock(
            read=len(shaped.source),
            merged=0,
            refused=shaped.refused,
            days=(),
            identities=b"",
            originals=b"",
            fits=True,
            lines=lambda: Lines(b"", ()),
            details=lambda: (shaped, Candidates([], [], [])),
            excluded=shaped.block.excluded,
            out_of_scope=shaped.block.out_of_scope,
        )

    def details(self, source: Block) -> tuple[Shaped, Candidates]:
        """The details of a block that was planned elsewhere."""
        shaped = self.shape(source)
        return shaped, self._times.first(shaped.block)
