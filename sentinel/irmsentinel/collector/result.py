"""What a run of the collector did: counts, gaps and the last problem."""

from __future__ import annotations

from dataclasses import dataclass, field

from irmsentinel.collector.cursor import Gap


@dataclass
class CollectResult:
    """Counts of one run. The run record has the fields under these names.

    Blobs: ``listed``, of which ``known`` from earlier runs, ``fetched``, ``gone`` (expired), ``failed``.
    Records: ``read``, of which ``wanted``, of which ``new`` and ``repeated``. ``cut``: new rows with a
    shortened field. ``collected``: everything until then is in the outbox (seconds since 1970). ``trouble``:
    the most frequent error code; ``failures``: code → how many blobs and lists failed with it; ``warning``:
    each cause once, with the next step. ``gaps``: found by this run.
    """

    windows: int = 0
    listed: int = 0
    known: int = 0
    fetched: int = 0
    gone: int = 0
    failed: int = 0
    read: int = 0
    wanted: int = 0
    new: int = 0
    repeated: int = 0
    cut: int = 0
    batches: int = 0
    collected: int = 0
    trouble: str = ""
    warning: str = ""
    gaps: list[Gap] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every list and every listed blob was read."""
        return not self.failures
