"""IRMExportHealth_CL: what a collector, an export or a sender did. A missing heartbeat means that it stopped.

The rows have an outbox of their own. While the workspace is unavailable, heartbeats are dropped once
``MAX_QUEUED`` batches are queued, because the next one replaces them. All other events are kept.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from irmcore import __version__
from irmcore.clock import Clock, iso
from irmcore.counts import Counts
from irmcore.delivery.connection import KIND, kind_of
from irmcore.delivery.sender import Sender
from irmcore.disk import Disk
from irmcore.errors import OutboxBusy
from irmcore.operations.connectors import Connectors
from irmcore.operations.status import ConnectorStatus, connector_status
from irmcore.outbox import Draft, Origin, Outbox, Run, accept_run
from irmcore.outbox.retention import sweep

from irmsentinel.azure import ingestion, payloads
from irmsentinel.azure.ingestion import ReadCredential
from irmsentinel.azure.target import Target, save_target

MAX_QUEUED = 200
COMPONENTS = ("collector", "export", "sender")
EVENTS = ("heartbeat", "run", "gap", "failed", "held")
RESULTS = ("ok", "waiting", "held", "failed")


@dataclass(frozen=True)
class Event:
    """One row. Times in seconds since 1970, 0 for none; ``lag`` in seconds, None if unknown.

    ``component``, ``event`` and ``result`` are in ``COMPONENTS``, ``EVENTS`` and ``RESULTS``. ``name`` is the
    collector's, profile's or aggregation's; ``reason`` is a code.
    """

    component: str
    name: str
    event: str
    result: str
    reason: str = ""
    rows: int = 0
    batches: int = 0
    held: int = 0
    failed: int = 0
    oldest: float = 0.0
    last_success: float = 0.0
    lag: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value, known in ((self.component, COMPONENTS), (self.event, EVENTS), (self.result, RESULTS)):
            if value not in known:
                raise ValueError(f"{value!r} is not one of {', '.join(known)}")

    def as_event(self, event: str) -> Event:
        """The same row with another ``event``."""
        return replace(self, event=event)


def row(event: Event, now: float) -> dict[str, Any]:
    """The event as a row of IRMExportHealth_CL."""
    values = {"".join(word.title() for word in name.split("_")): value for name, value in vars(event).items()}
    values |= {
        "TimeGenerated": iso(now),
        "Host": socket.gethostname(),
        "Oldest": iso(event.oldest) if event.oldest else None,
        "LastSuccess": iso(event.last_success) if event.last_success else None,
        "LagSeconds": values.pop("Lag"),
        "Version": __version__,
        "Details": dict(event.details) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def write(
    outbox: Outbox, target: Target, events: Sequence[Event], origin: Origin, *, max_queued: int = MAX_QUEUED
) -> bool:
    """Accept the events into the outbox; False if heartbeats were dropped. Raises OSError, OutboxFull."""
    outbox.create()
    save_target(outbox, target)
    if all(event.event == "heartbeat" for event in events) and outbox.count_ready() >= max_queued:
        return False
    now = outbox.clock.now()
    lines = [json.dumps(row(event, now), separators=(",", ":")).encode() for event in events]
    profile = {"name": target.name, "sha256": ""}
    counts = Counts(read=len(lines), shaped=len(lines))
    run = Run(f"health-{int(now * 1000):x}", now, origin, profile, counts)
    sweep(outbox)
    drafts = (
        Draft(payload, payloads.CONTENT_TYPE, target.destination, count, lambda _: b"")
        for payload, count in payloads.arrays(lines)
    )
    accept_run(outbox, run, drafts)
    return True


class HealthWriter:
    """Writes health rows into their outbox and sends them."""

    def __init__(
        self,
        target: Target,
        root: str,
        read: ReadCredential,
        origin: Origin,
        *,
        disk: Disk,
        clock: Clock,
    ) -> None:
        """``root`` is the outbox directory; ``read`` reads the credential."""
        self.outbox = Outbox(disk, clock, f"{root}/{target.outbox_name}")
        self._target = target
        self._origin = origin
        self._sender = Sender(self.outbox, ingestion.service(target, read))

    def report(self, *events: Event) -> None:
        """Write the rows durably, then send what can be sent now. Raises OSError, OutboxFull."""
        if events:
            write(self.outbox, self._target, events, self._origin)
        try:
            self._sender.drain()
        except OutboxBusy:
            return  # another process is sending these rows


def heartbeat(overview: ConnectorStatus, *, component: str) -> Event:
    """A heartbeat of an outbox on this machine, with the status that `irmexport status` shows."""
    held = sum(item.state in ("HELD", "DEAD", "QUARANTINED") for item in overview.items)
    result = "held" if overview.needs_person else "waiting" if overview.queued else "ok"
    reasons = [
        overview.reason,
        overview.trouble and "unknown-format",
        *(item.reason for item in overview.items),
    ]
    return Event(
        component=component,
        name=overview.title,
        event="heartbeat",
        result=result,
        reason=next(filter(None, reasons), ""),
        rows=overview.rows_queued,
        batches=overview.queued,
        held=held,
        oldest=overview.oldest,
    )


def heartbeats(connectors: Connectors) -> list[Event]:
    """A heartbeat of every connector's outbox on this machine, whatever fills it."""
    outboxes = [outbox for outbox in connectors.outboxes() if kind_of(outbox) == KIND]
    return [heartbeat(connector_status(outbox), component="sender") for outbox in outboxes]
