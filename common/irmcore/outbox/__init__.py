"""The durable outbox: batches in directories, their state in reserved space. See ``box``."""

from __future__ import annotations

from irmcore.outbox.manifest import Destination, Manifest, Origin
from irmcore.outbox.outbox import Batch, Draft, Outbox, Staging
from irmcore.outbox.states import State

__all__ = ["Batch", "Destination", "Draft", "Manifest", "Origin", "Outbox", "Staging", "State"]
