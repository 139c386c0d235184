"""The durable outbox of one connector: format 4 on disk.

``FORMAT`` holds the line ``irmexport outbox 4``. A process MUST NOT touch a directory with another line.
ARCHITECTURE.md ("Outbox on disk") lists each file, who writes it, when it is synced, what a reader may
assume and what damage means. The rules behind that list, which MUST hold:

- A batch is accepted once its directory has been renamed into ``ready/`` and ``ready/`` is synced.
  Everything in it was synced before.
- From then on a change of state is one synced write into space that was reserved at acceptance, so it
  works on a full disk. The state alone decides what happens to a batch.
- A move (to ``done/`` or ``quarantine/``) carries no meaning: it may fail, be lost or be repeated.
- A lock belongs to a live process and ends with it. Only the holder of ``sender.lock`` changes a batch
  in ``ready/``; only the holder of ``intake.lock`` accepts rows of a connector or writes its row ledger.
- What irmexport did not write is never touched, and never stops the rest.

docs/delivery.md has the proofs and the fault matrix.
"""

from __future__ import annotations

from irmcore.outbox.batch import Batch
from irmcore.outbox.manifest import Destination, Manifest, Origin
from irmcore.outbox.outbox import Outbox
from irmcore.outbox.staging import Draft, Run, Staging, accept_run
from irmcore.outbox.states import State

__all__ = [
    "Batch",
    "Destination",
    "Draft",
    "Manifest",
    "Origin",
    "Outbox",
    "Run",
    "Staging",
    "State",
    "accept_run",
]
