"""The counts of a run. They always add up."""

from __future__ import annotations

from dataclasses import dataclass, fields

#: Counts that few runs have. Written only if they are not zero, so that records keep their form.
_RARE = ("out_of_scope", "excluded")


@dataclass(frozen=True)
class Counts:
    """What happened to each row that was read. ``read`` is the sum of all others.

    *Shaped* rows are in batches. *Merged* rows were identical to another row of the run, or had a smaller
    threshold and the profile keeps the greatest. *Skipped* rows were accepted by an earlier run. *Rejected*
    rows are in the reject file. Rows *out of scope* are of people whose rows the profile does not send.
    *Excluded* rows have a name that the profile's map excludes.
    """

    read: int = 0
    shaped: int = 0
    merged: int = 0
    skipped: int = 0
    rejected: int = 0
    out_of_scope: int = 0
    excluded: int = 0

    def __post_init__(self) -> None:
        others = self.shaped + self.merged + self.skipped + self.rejected + self.out_of_scope + self.excluded
        if self.read != others:
            raise AssertionError(f"rows do not reconcile: {self}")

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def as_dict(self) -> dict[str, int]:
        """The counts by name; without those of ``_RARE`` that are zero."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in found.items() if value or name not in _RARE}
