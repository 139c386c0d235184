"""What people did to a connector as a whole: ``operations.jsonl`` in its outbox, one event a line.

An event is durable before the action begins. So an event without its effect means that the action failed, or
that its process was killed; an effect without an event does not occur.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from irmcore.outbox import Outbox
from irmcore.outbox.batch_files import events_of
from irmcore.outbox.transitions import append_event

FILE = "operations.jsonl"


def record(outbox: Outbox, event: Mapping[str, Any]) -> None:
    """Append an event, durably. Raises OSError."""
    append_event(outbox, f"{outbox.path}/{FILE}", outbox.read_file(FILE) or b"", dict(event))
    outbox.disk.sync_dir(outbox.path)  # each time: the process that created it may have died before this


def read(outbox: Outbox) -> list[dict[str, Any]]:
    """The events, oldest first. Lines that a crash cut off or that are damaged are left out."""
    return events_of(outbox.read_file(FILE) or b"")
