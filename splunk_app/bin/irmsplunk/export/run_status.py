"""What became of a run's batches: one state for the run, and its rows by outcome.

Only reads the outbox: the sender moves the batches. A batch that was split is followed to its halves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from irmcore.advice import advice
from irmcore.delivery.breaker_store import load_breaker
from irmcore.delivery.circuit_breaker import CLOSED, PAUSED
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Outbox, states
from irmcore.outbox.batch_files import read_manifest, read_payload
from irmcore.outbox.manifest import batch_id
from irmcore.shaping.batches import halves

from irmsplunk.splunk.next_steps import in_splunk

#: The reason of a run that its search head could not move to the cluster's outbox yet.
NOT_PROMOTED = "not-promoted"
#: Seconds between two looks at the batches' states.
_POLL_INTERVAL = 0.25


@dataclass(frozen=True)
class RunStatus:
    """The state of a run, with its rows counted by outcome.

    ``state`` is sent, held, dead, queued, proposed (it waits for a second person), paused, "held back" (the
    circuit breaker does not let uploads through), promoted (it is in the cluster's outbox, and the state is
    known there), "dry run" or "nothing to send". ``reason`` is a reason code of the core. ``in_cluster``: the
    rows are in the cluster's outbox.
    """

    state: str
    sent: int = 0
    held: int = 0
    dead: int = 0
    queued: int = 0
    reason: str = ""
    next_step: str = ""
    in_cluster: bool = False


def wait_for_receipt(
    outbox: Outbox, accepted: RunResult, seconds: float, sender_alive: Callable[[], bool]
) -> RunStatus:
    """Poll until the run is no longer just queued, the sender stops, or ``seconds`` have passed."""
    end = outbox.clock.monotonic() + seconds
    while True:
        status = run_status(outbox, accepted)
        if status.state != "queued" or outbox.clock.monotonic() >= end or not sender_alive():
            return status
        outbox.clock.sleep(_POLL_INTERVAL)


def run_status(outbox: Outbox, accepted: RunResult) -> RunStatus:
    """The status of a run's batches now."""
    rows = {"sent": 0, "held": 0, "dead": 0, "queued": 0}
    proposed, promoted = 0, 0
    reason = ""
    todo = list(zip(accepted.batches, accepted.sizes))
    while todo:
        batch, size = todo.pop()
        parts = _halves(outbox, batch)
        if parts:
            todo.extend(parts)
            continue
        outcome, code = _outcome(outbox, batch)
        proposed += size * (outcome == states.PROPOSED)
        promoted += size * (outcome == states.PROMOTED)
        rows[outcome if outcome in rows else "queued"] += size
        reason = reason or code
    state = next((outcome for outcome in ("held", "dead", "queued") if rows[outcome]), "sent")
    if state == "queued" and promoted == rows["queued"]:
        state = "promoted"
    elif proposed and state == "queued":
        state = "proposed"
    elif rows["queued"]:
        breaker, _ = load_breaker(outbox)
        if breaker.mode != CLOSED:
            reason = reason or breaker.reason
            if state == "queued":
                state = "paused" if breaker.mode == PAUSED else "held back"
    next_step = in_splunk(advice(reason)) if reason else ""
    return RunStatus(state, rows["sent"], rows["held"], rows["dead"], rows["queued"], reason, next_step)


def _halves(outbox: Outbox, name: str) -> list[tuple[str, int]]:
    """The ids and row counts of the halves that a batch was split into; empty for any other batch."""
    if outbox.folder_of(name) is None:
        return []
    batch = outbox.get(name)
    if batch.folder != "done" or batch.state is None or batch.state.name != states.SPLIT:
        return []
    manifest = read_manifest(outbox, batch)
    found = halves(read_payload(outbox, batch, manifest)) or ()
    ring, where, form = outbox.keyring, manifest.destination, manifest.content_type
    return [(batch_id(ring, where, form, half), rows) for half, rows in found]


def _outcome(outbox: Outbox, name: str) -> tuple[str, str]:
    """What became of a batch (sent, held, dead, queued, PROPOSED, PROMOTED), and the code of the reason."""
    if outbox.folder_of(name) is None:
        # Deleted after its retention time, so it was sent long ago; or this member does not show it yet.
        return "sent" if outbox.has_ledger else "queued", ""
    batch = outbox.get(name)
    if batch.folder == "quarantine" or batch.state is None:
        return "dead", "damaged"
    state = batch.state
    if state.name == states.SENT:
        return "sent", ""
    if state.name == states.HELD:
        return "held", state.reason
    if state.name in (states.DEAD, states.WITHDRAWN, states.ERASED):
        return "dead", state.reason
    outcome = state.name if state.name in (states.PROPOSED, states.PROMOTED) else "queued"
    return outcome, state.reason if state.name == states.RETRY else ""
