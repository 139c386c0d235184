"""Delete what is past its retention time, and what killed runs have left behind.

Only files that irmexport wrote are deleted, and no row that is queued. No more time counts as passed than the
records cover without a gap of ``LONGEST_GAP``: a clock that jumps ahead by years must not make everything old
at once, as rows whose records are gone count as new.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from irmcore.clock import iso
from irmcore.outbox import audit_log, runs, staging_directory, states
from irmcore.outbox.batch import Batch
from irmcore.outbox.outbox import Outbox
from irmcore.outbox.transitions import delete_payload, discard, expire

DAY = 86_400.0
#: Seconds without a record after which it is unknown whether that time has passed or the clock has jumped.
LONGEST_GAP = 90 * DAY
#: Seconds by which a record may be later than the clock: clocks are corrected by small steps.
_AHEAD = DAY
#: States in which rows are kept until a person decides.
_UNDECIDED = (*states.NEEDS_PERSON, states.PROPOSED)


class Periods(NamedTuple):
    """How long data is kept, in seconds (docs/privacy.md has the reasons).

    ``sent``: payloads after a receipt, or after they were withdrawn. ``refused``: reject files.
    ``undecided``: the rows of batches that need a person. ``records``: all else about a batch. ``rowkeys``:
    row keys in an outbox that machines share; in a directory they go with the batch.
    """

    sent: float = 7 * DAY
    refused: float = 30 * DAY
    undecided: float = 90 * DAY
    records: float = 400 * DAY
    rowkeys: float = 400 * DAY


class Deleted(NamedTuple):
    """How many payloads, batches and undecided payloads were deleted.

    ``doubt`` says why the clock is not believed, or "".
    """

    payloads: int
    batches: int
    undecided: int = 0
    doubt: str = ""


def delete_expired(outbox: Outbox, periods: Periods, *, clock_is_right: bool = False) -> Deleted:
    """Delete what is older than ``periods``. The caller holds the sender's lock.

    ``clock_is_right``: a person has checked the clock, so a gap between two records is time that has passed.
    Raises OSError.
    """
    now = outbox.clock.now()
    events = list(audit_log.read(outbox))
    times = [float(event["at"]) for event in events]
    last_event = {str(event["batch"]): float(event["at"]) for event in events if "batch" in event}
    expired: list[tuple[Batch, list[float]]] = []
    for batch in outbox.all_batches():
        if batch.state is not None and (_is_over(batch) or is_undecided(batch)):
            times.append(batch.state.at)
        since = batch.state.at if batch.state is not None else last_event.get(batch.id, now)
        passed = _passed(outbox, batch, periods, now - since)
        if passed:
            expired.append((batch, passed))
    known = now - (min(times, default=now) if clock_is_right else believed_since(times, now))
    if known > periods.refused:
        runs.delete_before(outbox, now - periods.refused)
    if known > periods.records:
        audit_log.forget_before(outbox, now - periods.records)
    if known > periods.rowkeys:
        outbox.forget_rowkeys(now - periods.rowkeys)
    done: Counter[str] = Counter()
    for batch, passed in expired:
        certain = [period for period in passed if known > period]
        if certain:
            done[_delete(outbox, batch, whole=certain[0] >= periods.records)] += 1
        done["left"] += len(certain) < len(passed)
    doubt = "" if clock_is_right else _doubt(times, now, done["left"])
    return Deleted(done["payload"], done["batch"], done["undecided"], doubt)


def _is_over(batch: Batch) -> bool:
    """Whether nothing more happens to a batch. One in ``done/`` had ended, even if its state is damaged."""
    if batch.state is None:
        return batch.folder == "done" and not batch.unknown and not batch.denied
    return batch.folder == "done" and batch.state.name in (*states.ENDED, states.SPLIT)


def _passed(outbox: Outbox, batch: Batch, periods: Periods, age: float) -> list[float]:
    """The periods that are over for what there is of a batch of this age, the longest first."""
    if _is_over(batch):
        rows = age > periods.sent and outbox.disk.exists(f"{batch.path}/payload")
        return [periods.records] * (age > periods.records) + [periods.sent] * rows
    return [periods.undecided] * (is_undecided(batch) and age > periods.undecided)


def _delete(outbox: Outbox, batch: Batch, *, whole: bool) -> str:
    """Delete a batch, or its rows; returns what."""
    if batch.folder != "done":
        expire(outbox, batch)
        return "undecided"
    if whole:
        outbox.forget(batch.id)
        discard(outbox, batch.path)
        return "batch"
    delete_payload(outbox, batch.path)
    return "payload"


def is_undecided(batch: Batch) -> bool:
    """Whether the batch's rows are kept only until a person decides."""
    named = batch.state is not None and batch.state.name in _UNDECIDED
    return named or (batch.folder == "quarantine" and not batch.unknown and not batch.denied)


def known_seconds(outbox: Outbox) -> float:
    """For how long the records lead up to now without a gap: so much time has certainly passed."""
    now = outbox.clock.now()
    ended = [batch.state.at for batch in outbox.done() if batch.state is not None and _is_over(batch)]
    recorded = [float(event["at"]) for event in audit_log.read(outbox)]
    return now - believed_since([*recorded, *ended], now)


def believed_since(times: Iterable[float], now: float) -> float:
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
    since = believed_since(times, now)
    before = max(at for at in times if at < since)
    return f"nothing is on record between {iso(before)} and {iso(since)}, so {left} expired batches were kept"


def sweep(outbox: Outbox) -> None:
    """Delete what killed runs have left in their staging directories. Raises OSError."""
    staging_directory.sweep(outbox.disk, outbox.tmp)
