"""What became of a run, or would become of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from irmcore.counts import Counts


@dataclass(frozen=True)
class RunResult:
    """The batches and counts of a run.

    ``batches`` are ids and ``sizes`` their rows. ``reasons`` counts refused rows by (column, reason code).
    ``changed`` counts rows of a detection that was accepted before with other details. ``rejects`` is the
    path of the reject file, if there is one. ``elsewhere``: how many of the skipped rows another machine had
    accepted meanwhile. ``source``: file, search or query. After a dry run ``run`` and ``batches`` are empty.
    """

    run: str
    batches: tuple[str, ...]
    sizes: tuple[int, ...]
    counts: Counts
    reasons: Mapping[tuple[str, str], int]
    changed: int
    rejects: str | None
    warning: str = ""
    elsewhere: int = 0
    source: str = "file"
