"""The counts of a run, which must always reconcile."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Counts:
    """Where each row that was read has gone.

    ``read = shaped + merged + skipped + rejected``:
    *shaped* rows are in batches; *merged* ones were identical to another row of the same run (or
    folded into the greatest one, where the profile says so); *skipped* ones had been accepted by an
    earlier run; *rejected* ones are in the reject file.
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
