"""The counts of a run. They always add up."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Counts:
    """What happened to each row that was read: ``read = shaped + merged + skipped + rejected``.

    *Shaped* rows are in batches. *Merged* rows were identical to another row of the run, or had a smaller
    threshold and the profile keeps the greatest. *Skipped* rows were accepted by an earlier run. *Rejected*
    rows are in the reject file.
    """

    read: int = 0
    shaped: int = 0
    merged: int = 0
    skipped: int = 0
    rejected: int = 0

    def __post_init__(self) -> None:
        if self.read != self.shaped + self.merged + self.skipped + self.rejected:
            raise AssertionError(f"rows do not reconcile: {self}")

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def as_dict(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}
