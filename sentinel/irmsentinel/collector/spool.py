"""Where a collector accepts rows, and where they are sent from.

Both are one directory, unless machines share an outbox on a store: then rows are accepted into a directory of
this machine and promoted, and the cursor moves only after that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from irmcore.intake.accepted_there import AcceptedThere
from irmcore.outbox import Outbox


def _nothing() -> None:
    """A directory of one machine: nothing is accepted elsewhere, and nothing has to move."""


@dataclass(frozen=True)
class Spool:
    """``own`` takes what is accepted; ``outbox`` has the cursor and what is sent.

    ``there`` is what a run skips because others accepted it. ``promote`` moves everything from ``own`` to
    ``outbox``; it raises StoreAway and StoreRefused, and then the rows are still in ``own``.
    """

    own: Outbox
    outbox: Outbox
    there: Callable[[], AcceptedThere | None] = _nothing
    promote: Callable[[], object] = _nothing
