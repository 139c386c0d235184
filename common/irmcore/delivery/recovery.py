"""What a sender does with a batch first: if a crash left it half way, bring it into a state of rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Callable

from irmcore.delivery.recorder import DENIED, DISK, UNKNOWN, Recorder
from irmcore.delivery.replies import Action, decide
from irmcore.delivery.service import Splitter
from irmcore.delivery.splitting import split
from irmcore.errors import BatchUnwritable, Overtaken
from irmcore.http.outcome import Failure
from irmcore.outbox import Batch, states
from irmcore.outbox.transitions import discard, is_finished, sync_state, write_state


def recover(
    names: Iterable[str],
    recorder: Recorder,
    splitters: Mapping[str, Splitter],
    jitter: Callable[[], float],
) -> list[Batch]:
    """What is to be sent of the batches of these ids, oldest first, each brought into a state of rest.

    ``ready/`` is synced. Raises OSError.
    """
    outbox = recorder.outbox
    queue = []
    for batch in outbox.load_ready(names):
        if is_finished(outbox, batch.id):
            # A backup was restored over this outbox: what became of the batch is in done/.
            discard(outbox, batch.path)
            continue
        try:
            queue.extend(_to_send(batch, recorder, splitters, jitter))
        except BatchUnwritable:
            recorder.report.leave(DISK)
        except Overtaken:
            recorder.report.leave("")
    return queue


def _to_send(
    batch: Batch, recorder: Recorder, splitters: Mapping[str, Splitter], jitter: Callable[[], float]
) -> list[Batch]:
    """What is to be sent of one batch."""
    outbox = recorder.outbox
    queue: list[Batch] = []
    if batch.unknown:
        recorder.report.leave(UNKNOWN)
    elif batch.denied:
        recorder.report.leave(DENIED)
    elif batch.state is not None and batch.state.name in states.ENDED:
        sync_state(outbox, batch)
        recorder.finish(batch)
    elif batch.damaged or batch.state is None:
        recorder.quarantine(batch, "a state record is damaged")
    elif batch.state.name == states.SPLIT:
        sync_state(outbox, batch)
        queue = split(batch, splitters, recorder)
    elif batch.state.name == states.INTENT:
        # The body was shorter than its length when the process ended, so it was not accepted.
        queue = [write_state(outbox, batch, name=states.RETRY, reason="crash", not_before=0.0)]
    elif batch.state.name == states.COMMIT:
        queue = _resolve_doubt(batch, recorder, jitter)
    elif batch.state.name == states.PROPOSED:
        recorder.report.proposed += 1
    elif batch.state.name in (states.READY, states.RETRY):
        queue = [batch]
    return queue


def _resolve_doubt(batch: Batch, recorder: Recorder, jitter: Callable[[], float]) -> list[Batch]:
    """Treat a batch whose process ended after COMMIT as one whose reply was lost."""
    if recorder.outbox.upload_ended(batch) > recorder.outbox.clock.now():
        recorder.report.leave("")  # another machine's upload, which may succeed yet
        return []
    manifest = recorder.read_manifest(batch)
    if manifest is None:
        return []
    attempts = batch.state.attempts if batch.state else 1
    crash = Failure("crash", committed=True)
    decision = decide(
        crash,
        attempt=max(attempts, 1),
        refreshed=True,
        in_doubt=manifest.destination.in_doubt,
        jitter=jitter(),
    )
    after = recorder.record_outcome(batch, manifest, decision, crash)
    return [after] if decision.action is Action.RETRY else []
