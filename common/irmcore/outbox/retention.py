"""Delete what is past its retention time, and what killed runs have left behind.

Only batches that need nothing more are deleted, and only files that irmexport wrote.
"""

from __future__ import annotations

from irmcore.outbox import runs, staging_directory, states
from irmcore.outbox.outbox import Outbox

#: Default retention: payloads after a receipt, and the record of a batch with its row keys.
PAYLOAD_SECONDS = 7 * 86_400.0
BATCH_SECONDS = 400 * 86_400.0


def delete_expired(outbox: Outbox, *, payload_seconds: float, batch_seconds: float) -> tuple[int, int]:
    """Delete payloads and whole batches in ``done/`` of that age, with reject files and run records.

    Returns how many payloads and batches were deleted. Raises OSError.
    """
    payloads = batches = 0
    now = outbox.clock.now()
    runs.delete_before(outbox, "rejects", now - payload_seconds)  # they hold rows
    runs.delete_before(outbox, "runs", now - batch_seconds)
    for batch in outbox.done():
        if batch.state is None or batch.state.name not in (*states.ENDED, states.SPLIT):
            continue
        age = now - batch.state.at
        if age > batch_seconds:
            discard(outbox, batch.path)
            batches += 1
        elif age > payload_seconds and outbox.disk.exists(f"{batch.path}/payload"):
            outbox.disk.remove(f"{batch.path}/payload")
            payloads += 1
    return payloads, batches


def discard(outbox: Outbox, path: str) -> None:
    """Delete the batch directory ``path``: move it away whole and durably, then delete its files.

    A crash leaves the rest to ``sweep``. Raises OSError.
    """
    staging = staging_directory.acquire(outbox.disk, outbox.tmp)
    try:
        outbox.disk.rename(path, f"{staging.path}/{path.rsplit('/', 1)[1]}")
        outbox.disk.sync_dir(staging.path)
    except BaseException:
        # The move may not be durable, so the batch could come back: it must then be complete.
        staging.release()
        raise
    staging.close()


def sweep(outbox: Outbox) -> None:
    """Delete what killed runs have left in their staging directories. Raises OSError."""
    staging_directory.sweep(outbox.disk, outbox.tmp)
