"""Replace a batch that is too large for the service by its halves.

The SPLIT state is durable before the halves are accepted, and the batch moves to ``done/`` after that. A
crash in between is repaired by the next sender: a half that is in the outbox already is not accepted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from irmcore.delivery.recorder import Recorder
from irmcore.delivery.service import Splitter
from irmcore.errors import OutboxFull
from irmcore.outbox import Batch, Draft, Manifest, Outbox, Run, Staging, states
from irmcore.outbox.batch_files import read_rowkeys
from irmcore.outbox.rowkeys import Damaged, divided
from irmcore.outbox.transitions import write_state


def split(batch: Batch, splitters: Mapping[str, Splitter], recorder: Recorder) -> list[Batch]:
    """Accept the halves of a batch in state SPLIT, and return those that are new. Raises OSError."""
    content = recorder.read_content(batch)
    if content is None:
        return []
    manifest, payload = content
    splitter = splitters.get(manifest.content_type)
    halves = splitter(payload) if splitter else None
    if halves is None:
        dead = write_state(recorder.outbox, batch, name=states.DEAD, reason="http-413")
        recorder.record_event(dead, {"event": "dead", "code": "http-413", "reply": "one row is too large"})
        recorder.report.dead += 1
        recorder.report.trouble = recorder.report.trouble or "http-413"
        return []
    try:
        found = _accept_halves(recorder, batch, manifest, halves)
    except (OSError, OutboxFull):
        recorder.report.leave("disk-full")  # the state says SPLIT: the next sender does it
        return []
    recorder.finish(batch)
    return found


def _accept_halves(
    recorder: Recorder,
    batch: Batch,
    manifest: Manifest,
    halves: tuple[tuple[bytes, int], tuple[bytes, int]],
) -> list[Batch]:
    outbox = recorder.outbox
    keys = _divided_rowkeys(outbox, batch, [rows for _, rows in halves])
    drafts = [
        Draft(payload, manifest.content_type, manifest.destination, rows, partial(_unchanged, part))
        for (payload, rows), part in zip(halves, keys)
    ]
    profile = {**manifest.profile, "split_from": batch.id}
    run = Run(manifest.run, manifest.accepted, manifest.origin, profile, manifest.counts, manifest.tool)
    with Staging(outbox, renew=False) as staging:
        # Before they are accepted: halves whose acceptance fails may be in ready/ and not durable. A drain
        # that took them for arrivals would send what a power loss undoes, and their rows would go again.
        recorder.known.update([staging.add(draft) for draft in drafts])
        staging.prepare(run)
        return [outbox.get(name) for name in staging.accept()]


def _divided_rowkeys(outbox: Outbox, batch: Batch, rows: list[int]) -> Sequence[bytes | None]:
    """The records of each half; None if the batch's own are damaged, so that the halves' are too."""
    try:
        return divided(read_rowkeys(outbox, batch), rows)
    except Damaged:
        return [None for _ in rows]


def _unchanged(records: bytes | None, _: bytes) -> bytes | None:
    """The row keys of a half name the batch that was split, as the row ledger does."""
    return records
