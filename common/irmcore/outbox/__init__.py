"""The durable outbox: batches in directories, their state in reserved space. See ``box``."""

from __future__ import annotations

from irmcore.outbox.box import Batch, Box, Draft, Staging
from irmcore.outbox.manifest import Destination, Manifest, Origin
from irmcore.outbox.states import State

__all__ = ["Batch", "Box", "Destination", "Draft", "Manifest", "Origin", "Staging", "State"]
