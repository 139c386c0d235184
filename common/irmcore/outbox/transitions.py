"""Change a batch: write its state, record events, and move it between folders.

The state alone decides. A move carries no meaning: it may fail, be lost in a crash or be repeated.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from irmcore.disk import BAD_FILE_ERRNOS
from irmcore.errors import BatchDamaged, BatchUnwritable, DamageError
from irmcore.outbox import audit_log, staging_directory, state_file, states
from irmcore.outbox.batch import Batch
from irmcore.outbox.batch_files import read_history, read_manifest
from irmcore.outbox.outbox import Outbox
from irmcore.outbox.states import State

#: In a batch's directory: what an erasure has prepared.
PREPARED = "erasure"
_ENDS = ("sent", "resolved-sent", "withdrawn", "promoted")


@contextmanager
def _fault_of(batch: Batch) -> Iterator[None]:
    """Turn an error of this batch's state file into BatchUnwritable; let one of the whole disk pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in (*BAD_FILE_ERRNOS, errno.EACCES):
            raise
        raise BatchUnwritable(error, batch.id) from error


def write_state(
    outbox: Outbox, batch: Batch, *, seconds: float = 0.0, sync: bool = True, **changes: Any
) -> Batch:
    """Write a new state durably, and return the batch with it. ``seconds`` as for ``Outbox.claim_state``.

    Without ``sync``, the caller makes it durable.

    Raises BatchDamaged, BatchUnwritable, OSError, and what ``claim_state`` raises.
    """
    if batch.state is None:
        raise BatchDamaged(
            "no state of this batch can be read", where=batch.path, next_step="The batch is quarantined."
        )
    state = batch.state._replace(at=outbox.clock.now(), **changes)
    path, number = f"{batch.path}/state", outbox.claim_state(batch, state, seconds)
    with _fault_of(batch):
        write = state_file.write if sync else state_file.write_unsynced
        write(outbox.disk, path, state.as_record(batch.id), number)
        if batch.damaged:
            state_file.repair(outbox.disk, path, number)
    return batch._replace(state=state, number=number, damaged=False)


def sync_state(outbox: Outbox, batch: Batch) -> None:
    """Make the state that was read durable: a process may have died between its write and its sync.

    Raises BatchUnwritable, OSError.
    """
    with _fault_of(batch):
        outbox.disk.sync(f"{batch.path}/state")


def write_all_ended(outbox: Outbox, found: Sequence[Batch], name: str, reason: str) -> None:
    """``write_ended`` for several batches, all of which are durable when it returns. Raises as that."""
    for batch in found:
        write_ended(outbox, batch, name, reason, sync=False)
    outbox.disk.sync_all([f"{batch.path}/state" for batch in found])


def write_ended(outbox: Outbox, batch: Batch, name: str, reason: str, *, sync: bool = True) -> Batch:
    """Write a state that ends a batch durably, even where no earlier state can be read.

    Raises BatchUnwritable, OSError, and what ``claim_state`` raises.
    """
    if batch.state is not None and not batch.damaged:
        return write_state(outbox, batch, sync=sync, name=name, reason=reason, not_before=0.0)
    now = outbox.clock.now()
    state = State(name, now, int(now * 1e9), reason=reason)
    outbox.claim_state(batch, state, 0.0)
    path = f"{batch.path}/state"
    if outbox.disk.exists(path):
        outbox.disk.remove(path)
    outbox.disk.create(path, state_file.new_file(state.as_record(batch.id)), sync=True)
    outbox.disk.sync_dir(batch.path)
    return batch._replace(state=state, number=0, damaged=False)


def record_event(outbox: Outbox, batch: Batch, event: dict[str, Any]) -> None:
    """Record what happened to a batch in the audit log, durably. Raises OutboxBusy, OSError."""
    audit_log.append(outbox, {"batch": batch.id, **event})


def move_to_done(outbox: Outbox, batch: Batch) -> None:
    """Move a batch that needs nothing more to ``done/``. Raises OSError, which does no harm."""
    if batch.state is not None and batch.state.name == states.ERASED:
        complete_erasure(outbox, batch)
    make_shards(outbox, [batch.id])
    _remove_predecessor(outbox, batch.id)
    outbox.disk.rename(batch.path, f"{outbox.path}/done/{batch.id[:2]}/{batch.id}")
    outbox.moved(batch.id, "done")


def make_shards(outbox: Outbox, names: Iterable[str]) -> None:
    """Create what is missing of the directories to which the batches of these ids move. Raises OSError."""
    done = f"{outbox.path}/done"
    shards = {f"{done}/{name[:2]}" for name in names}
    new = [shard for shard in sorted(shards) if not outbox.disk.exists(shard)]
    for shard in new:
        with suppress(FileExistsError):
            outbox.disk.make_dir(shard)
    if new or not outbox.done_synced:
        outbox.disk.sync_dir(done)  # a batch must not move into a directory that a power loss can undo
        outbox.done_synced = True


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


def complete_erasure(outbox: Outbox, batch: Batch) -> None:
    """Do what a durable state ERASED means: see ``erasure``. Repeating it changes nothing. Raises OSError."""
    disk, prepared = outbox.disk, f"{batch.path}/{PREPARED}"
    files = ("rowkeys", "manifest.json")
    for name in disk.names(prepared):
        if name not in files and outbox.folder_of(name) in (None, "done"):
            disk.rename(f"{prepared}/{name}", f"{outbox.path}/ready/{name}")
    outbox.sync_ready()  # before the rows that remain are deleted here
    for name in files:
        if disk.exists(f"{prepared}/{name}"):
            disk.rename(f"{prepared}/{name}", f"{batch.path}/{name}")
    disk.sync_dir(batch.path)
    delete_payload(outbox, batch.path)


def delete_payload(outbox: Outbox, path: str) -> bool:
    """Delete the rows in the batch directory ``path``. Returns whether it had any. Raises OSError."""
    outbox.disk.remove_tree(f"{path}/{PREPARED}")  # of an erasure that was interrupted
    if not outbox.disk.exists(f"{path}/payload"):
        return False
    outbox.disk.remove(f"{path}/payload")
    return True


def expire(outbox: Outbox, batch: Batch) -> None:
    """Delete the rows of a batch that nobody decided about; they still count as accepted. Raises OSError."""
    record_event(outbox, batch, {"event": "expired"})
    move_to_done(outbox, write_ended(outbox, batch, states.ERASED, "expired"))


def _remove_predecessor(outbox: Outbox, name: str) -> None:
    """Remove the withdrawn batch of this id from ``done/``."""
    path = f"{outbox.path}/done/{name[:2]}/{name}"
    if outbox.disk.exists(path) and not is_finished(outbox, name):
        discard(outbox, path)


def is_finished(outbox: Outbox, name: str) -> bool:
    """Whether the batch of this id is in ``done/``, and was not withdrawn to be accepted again."""
    folder = f"done/{name[:2]}"
    if not outbox.disk.exists(f"{outbox.path}/{folder}/{name}"):
        return False
    done = outbox.load(name, folder)
    if done.state is None:
        own = outbox.load(name, "ready")
        if own.state is not None and own.state.name in states.ENDED:
            return False  # whatever the one in done/ is, this one says as much
        events = [event["event"] for event in read_history(outbox, own)]
        ends = [event for event in events if event in _ENDS]
        return ends[-1:] not in (["withdrawn"], ["promoted"])
    return not is_withdrawn(outbox, done)


def is_withdrawn(outbox: Outbox, batch: Batch) -> bool:
    """Whether a batch was withdrawn or promoted, either itself or as the halves that it was split into."""
    name = batch.state.name if batch.state else ""
    if name != states.SPLIT:
        return name in states.GIVEN_UP
    halves = [other for other in outbox.all_batches() if _split_from(outbox, other) == batch.id]
    return bool(halves) and all(is_withdrawn(outbox, half) for half in halves)


def _split_from(outbox: Outbox, batch: Batch) -> str | None:
    try:
        return read_manifest(outbox, batch).profile.get("split_from")
    except DamageError:
        return None


def quarantine(outbox: Outbox, batch: Batch) -> None:
    """Move a batch that failed its checks to ``quarantine/``. Raises OSError, which does no harm."""
    outbox.disk.rename(batch.path, f"{outbox.path}/quarantine/{batch.id}")
    outbox.moved(batch.id, "quarantine")


def move_to_ready(outbox: Outbox, batch: Batch) -> Batch:
    """Move a batch from ``quarantine/`` back to ``ready/``, durably. Raises OSError."""
    outbox.disk.rename(batch.path, f"{outbox.path}/ready/{batch.id}")
    outbox.disk.sync_dir(f"{outbox.path}/ready")
    outbox.moved(batch.id, "ready")
    return outbox.get(batch.id)
