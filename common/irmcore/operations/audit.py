"""The audit record: who sent what, from what, on whose authority, and what happened to it.

It holds no row values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from irmcore.clock import iso
from irmcore.errors import DamageError
from irmcore.outbox import Batch, Outbox, audit_log
from irmcore.outbox.batch_files import read_history, read_manifest


def audit(outboxes: Iterable[Outbox], since: float) -> Iterator[dict[str, Any]]:
    """Every run, and every event of a batch, at or after ``since``, oldest first, as plain values."""
    events: list[tuple[float, dict[str, Any]]] = []
    for outbox in outboxes:
        manifests: dict[str, dict[str, Any]] = {}
        for batch in outbox.all_batches():
            at, event, base = _acceptance(outbox, batch)
            manifests[batch.id] = base
            events.append((at, {**base, **event}))
        for event in audit_log.read(outbox):
            base = manifests.get(str(event.get("batch")), {"connector": outbox.name})
            events.append((float(event["at"]), {**base, **event}))
    for at, event in sorted(events, key=lambda pair: pair[0]):
        if at >= since:
            yield {**event, "at": iso(at)}


def _acceptance(outbox: Outbox, batch: Batch) -> tuple[float, dict[str, Any], dict[str, Any]]:
    """When a batch was accepted, that event, and what each event of the batch repeats."""
    base: dict[str, Any] = {"connector": outbox.name, "batch": batch.id}
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
        return manifest.accepted, accepted, base
    except DamageError as error:
        return batch.state.at if batch.state else 0.0, {"event": "damaged", "what": error.what}, base


def describe(outbox: Outbox, batch: Batch) -> dict[str, Any]:
    """Everything on record about a batch, as plain values: manifest, state, history."""
    try:
        manifest: dict[str, Any] | None = asdict(read_manifest(outbox, batch))
        problem = ""
    except DamageError as error:
        manifest, problem = None, str(error)
    return {
        "id": batch.id,
        "connector": outbox.name,
        "place": batch.folder,
        "state": batch.state._asdict() if batch.state else None,
        "manifest": manifest,
        "problem": problem,
        "history": read_history(outbox, batch),
        "payload_kept": outbox.disk.exists(f"{batch.path}/payload"),
    }
