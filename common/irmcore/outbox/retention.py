"""Delete what is past its retention time, and what killed runs have left behind.

Only batches that need nothing more are deleted, and only files that irmexport wrote. No more time counts as
passed than the records cover without a gap of ``LONGEST_GAP``: a clock that jumps ahead by years must not
make everything old at once, as rows whose records are gone count as new.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from irmcore.clock import iso
from irmcore.outbox import runs, staging_directory, states
from irmcore.outbox.outbox import Outbox

#: Default retention: payloads after a receipt, and the record of a batch with its row keys.
PAYLOAD_SECONDS = 7 * 86_400.0
BATCH_SECONDS = 400 * 86_400.0
#: Seconds without a record after which it is unknown whether that time has passed or the clock has jumped.
LONGEST_GAP = 90 * 86_400.0
#: Seconds by which a record may be later than the clock: clocks are corrected by small steps.
_AHEAD = 86_400.0


class Deleted(NamedTuple):
    """How many payloads and batches were deleted. ``doubt`` says why the clock is not believed, or ""."""

    payloads: int
    batches: int
    doubt: str = ""


def delete_expired(
    outbox: Outbox, *, payload_seconds: float, batch_seconds: float, clock_is_right: bool = False
) -> Deleted:
    """Delete payloads and whole batches in ``done/`` of that age, with reject files and run records.

    ``clock_is_right``: a person has checked the clock, so a gap between two records is time that has passed.
    Raises OSError.
    """
    now = outbox.clock.now()
    times = list(runs.times(outbox))
    expired: list[tuple[str, float]] = []
    for batch in outbox.done():
        if batch.state is None or batch.state.name not in (*states.ENDED, states.SPLIT):
            continue
        times.append(batch.state.at)
        age = now - batch.state.at
        kept = age > payload_seconds and outbox.disk.exists(f"{batch.path}/payload")
        if age > batch_seconds or kept:
            expired.append((batch.path, age))
    known = now - (min(times, default=now) if clock_is_right else _believed_since(times, now))
    if known > payload_seconds:
        runs.delete_before(outbox, "rejects", now - payload_seconds)  # they hold rows
    if known > batch_seconds:
        runs.delete_before(outbox, "runs", now - batch_seconds)
    payloads = batches = left = 0
    for path, age in expired:
        if min(age, known) > batch_seconds:
            discard(outbox, path)
            batches += 1
        elif min(age, known) > payload_seconds and outbox.disk.exists(f"{path}/payload"):
            outbox.disk.remove(f"{path}/payload")
            payloads += 1
        left += known <= batch_seconds < age or known <= payload_seconds < age
    return Deleted(payloads, batches, "" if clock_is_right else _doubt(times, now, left))


def _believed_since(times: Iterable[float], now: float) -> float:
    """The first of the records that lead up to ``now`` without a gap; ``now`` if there is none."""
    since = now
    for at in sorted(times, reverse=True):
        if since - at > LONGEST_GAP:
            break
        since = min(since, at)
    return since


def _doubt(times: list[float], now: float, left: int) -> str:
    """Why the clock is in doubt, if that kept something from being deleted or a record is in the future."""
    newest = max(times, default=now)
    if newest > now + _AHEAD:
        return f"the newest record is of {iso(newest)}, and the clock says {iso(now)}"
    if not left:
        return ""
    since = _believed_since(times, now)
    before = max(at for at in times if at < since)
    return f"nothing is on record between {iso(before)} and {iso(since)}, so {left} expired batches were kept"


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
