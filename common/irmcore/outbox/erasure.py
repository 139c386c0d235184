"""Replace a batch by one without some of its rows, as when a person's data has to be erased.

The batch that takes its place is complete in ``erasure/`` in the directory of the old one, as are the row
keys of the rows that go and a manifest for them, before the old one's state becomes ERASED. From then on the
old batch is never sent; whoever finds it (``transitions.move_to_done``) moves the new one to ``ready/``, and
then deletes the old rows. So an erasure that is interrupted has not begun or is finished by the next drain.

The rows that remain keep their state, their place in the queue and their history. All row keys are kept, so
that no row is accepted again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from irmcore.outbox import audit_log, promotion_note, rowkeys, state_file, states
from irmcore.outbox import manifest as manifests
from irmcore.outbox.batch import Batch
from irmcore.outbox.batch_files import read_rowkeys
from irmcore.outbox.manifest import Manifest
from irmcore.outbox.outbox import Outbox
from irmcore.outbox.rowkeys import RECORD, Damaged
from irmcore.outbox.staging import Draft, Run, Staging
from irmcore.outbox.transitions import PREPARED, move_to_done, record_event, write_ended

#: The states in which rows can be taken out of a batch: nothing of it is on its way.
AT_REST = (states.PROPOSED, states.READY, states.RETRY, states.HELD, states.DEAD)


def erase_rows(
    outbox: Outbox,
    batch: Batch,
    manifest: Manifest,
    kept: Sequence[int],
    *,
    payload: bytes,
    event: Mapping[str, Any],
) -> str | None:
    """Replace a batch by one of the rows with the indexes ``kept``, whose ``payload`` this is.

    The caller holds the sender's and the intake lock, and ``batch`` is in ``ready/`` and ``AT_REST``.
    ``event`` is recorded for both. Returns the id of the new batch, None if no row is left.
    Raises BatchUnwritable, OutboxFull, OSError.
    """
    if batch.state is None:
        raise ValueError("a batch without a state")
    disk, prepared = outbox.disk, f"{batch.path}/{PREPARED}"
    disk.remove_tree(prepared)
    disk.make_dir(prepared)
    remaining, erased = _divided(outbox, batch, manifest.rows, kept)
    new = None
    with Staging(outbox, renew=False) as staging:
        if kept:
            form, where = manifest.content_type, manifest.destination
            new = staging.add(Draft(payload, form, where, len(kept), lambda _: remaining))
            profile = {**manifest.profile, "split_from": batch.id}
            staging.prepare(
                Run(manifest.run, manifest.accepted, manifest.origin, profile, manifest.counts, manifest.tool)
            )
            staging.set_aside(prepared)
            path = f"{prepared}/{new}"
            state_file.write(disk, f"{path}/state", batch.state.as_record(new), 1)
            outbox.prepare(batch, new, path)
            promotion_note.add(outbox, batch.id, new)
    if erased is not None:
        keys = rowkeys.seal(outbox.keyring, erased)
        check = hashlib.sha256(keys).hexdigest()
        changed = replace(manifest, rows=manifest.rows - len(kept), rowkeys_sha256=check)
        disk.create(f"{prepared}/rowkeys", keys, sync=True)
        disk.create(f"{prepared}/manifest.json", manifests.encode(changed, outbox.keyring), sync=True)
    disk.sync_dir(prepared)
    disk.sync_dir(batch.path)
    record_event(outbox, batch, {**event, "replaced_by": new})
    if new is not None:
        audit_log.append(outbox, {**event, "batch": new, "replaces": batch.id})
    move_to_done(outbox, write_ended(outbox, batch, states.ERASED, "erased"))
    return new


def _divided(
    outbox: Outbox, batch: Batch, rows: int, kept: Sequence[int]
) -> tuple[bytes | None, bytes | None]:
    """The records of the rows that are kept and of the others; None if those of the batch are damaged."""
    try:
        found = read_rowkeys(outbox, batch)
    except Damaged:
        return None, None
    if len(found) != rows * RECORD.size:
        return None, None
    wanted = set(kept)
    parts = [found[at * RECORD.size : (at + 1) * RECORD.size] for at in range(rows)]
    remaining = b"".join(part for at, part in enumerate(parts) if at in wanted)
    return remaining, b"".join(part for at, part in enumerate(parts) if at not in wanted)
