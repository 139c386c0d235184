"""The audit record: who sent what, from what, on whose authority, and what happened to it.

It holds no row values.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from irmcore.clock import iso
from irmcore.errors import DamageError
from irmcore.operations import history
from irmcore.operations.connectors import name_of
from irmcore.outbox import Batch, Outbox, runs
from irmcore.outbox.batch_files import read_history, read_manifest


def audit(outboxes: Iterable[Outbox], since: float) -> Iterator[dict[str, Any]]:
    """Every run, and every event of a batch, at or after ``since``, oldest first, as plain values."""
    events: list[tuple[float, dict[str, Any]]] = []
    for outbox in outboxes:
        for record in runs.read_records(outbox):
            at = _seconds(record.get("at"))
            events.append((at, {"event": "run", "connector": name_of(outbox), **record}))
        events.extend(
            (float(event["at"]), {"connector": name_of(outbox), **event}) for event in history.read(outbox)
        )
        for batch in outbox.all_batches():
            events.extend(_batch_events(outbox, batch))
    for at, event in sorted(events, key=lambda pair: pair[0]):
        if at >= since:
            yield {**event, "at": iso(at)}


def _batch_events(outbox: Outbox, batch: Batch) -> Iterator[tuple[float, dict[str, Any]]]:
    base: dict[str, Any] = {"connector": name_of(outbox), "batch": batch.id}
    try:
        manifest = read_manifest(outbox, batch)
        base.update(run=manifest.run, rows=manifest.rows, user=manifest.origin.user)
        accepted = {
            "event": "accepted",
            "host": manifest.origin.host,
            "app": manifest.origin.app,
            "details": dict(manifest.origin.details),
            "profile": dict(manifest.profile),
            "destination": dict(manifest.destination.address),
            "payload_check": manifest.payload_check,
        }
        yield manifest.accepted, {**base, **accepted}
    except DamageError as error:
        yield (
            (batch.state.at if batch.state else 0.0),
            {**base, "event": "damaged", "what": error.what},
        )
    for event in read_history(outbox, batch):
        yield float(event["at"]), {**base, **event}


def describe(outbox: Outbox, batch: Batch) -> dict[str, Any]:
    """Everything on record about a batch, as plain values: manifest, state, history."""
    try:
        manifest: dict[str, Any] | None = asdict(read_manifest(outbox, batch))
        problem = ""
    except DamageError as error:
        manifest, problem = None, str(error)
    return {
        "id": batch.id,
        "connector": name_of(outbox),
        "place": batch.folder,
        "state": batch.state._asdict() if batch.state else None,
        "manifest": manifest,
        "problem": problem,
        "history": read_history(outbox, batch),
        "payload_kept": outbox.disk.exists(f"{batch.path}/payload"),
    }


def _seconds(text: object) -> float:
    """The time in a run's record; 0 if it cannot be read."""
    try:
        return datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return 0.0
