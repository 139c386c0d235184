"""Move an outbox from a store back to a directory: the same outbox, with key, history and row keys.

It is closed first, so that nothing is accepted or sent from the store any more, also not by a process that
froze before. Its identity is retired, the log gets a record that every run reads before it commits, and each
open batch the state PROMOTED, under the number that a frozen sender would claim. Then everything is copied
into a hidden directory, which is renamed when it is complete. So a move that was killed goes on when it is
run again. In the directory, a batch has the state that it had before.

Not promised: rows that other machines have accepted and not promoted. They stay in their directories.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from irmcore.delivery.recorder import Recorder
from irmcore.delivery.recovery import recover
from irmcore.delivery.report import Report, ignore_events
from irmcore.delivery.service import Splitter
from irmcore.errors import DamageError, OperatorError, OutboxBusy
from irmcore.intake.ledger.recovery import rebuild
from irmcore.operations.adoption import exclusive
from irmcore.operations.moving import FILES
from irmcore.operations.retention import periods_of
from irmcore.outbox import Batch, Outbox, audit_log, states
from irmcore.outbox import manifest as manifests
from irmcore.outbox.erasure import AT_REST
from irmcore.outbox.identity import Identity
from irmcore.outbox.on_store import layout, records
from irmcore.outbox.on_store.attempts import Newest, newest_of
from irmcore.outbox.on_store.replica import Replica, state_content
from irmcore.outbox.on_store.shared import SharedOutbox
from irmcore.outbox.outbox import AUDIT_LOG, BREAKER_FILE
from irmcore.outbox.transitions import write_state
from irmcore.store import claim
from irmcore.store.claim import read_existing
from irmcore.store.numbered import Sequence

#: On the store: to which directory the outbox is moved. Once it is there, no other one may take it.
MOVED = "moved"
#: The reason of the state PROMOTED of what is moved, and where a directory is until it is complete.
_REASON, _UNFINISHED = "moved", ".moving"


class _Copy(NamedTuple):
    """A batch as it is to be in the directory. ``name`` is its name on the store."""

    name: str
    folder: str
    state: bytes


def move_back(
    replica: Replica,
    shared: SharedOutbox,
    target: Outbox,
    splitters: Mapping[str, Splitter],
    *,
    place: str,
    who: str,
    why: str,
) -> int:
    """Move the outbox to the directory ``target``, and return how many batches it has there.

    ``place`` names machine and path of the directory. ``splitters`` are those of the outbox's service.
    Raises OperatorError if the directory has an outbox, if this one was moved elsewhere, or while a batch may
    be on its way; Overtaken, OutboxBusy, StoreAway, StoreRefused, OSError. Then run it again.
    """
    with _alone(target):
        known = replica.check_format()
        if target.exists():
            return _moved_before(target, known)
        with exclusive(replica):
            if not known.retired:
                replica.check()
            _bring_to_rest(replica, splitters)
            _claim_place(shared, place)
            if not known.retired:
                audit_log.append(replica, {"event": "moved", "by": who, "why": why, "to": place})
                replica.save_identity(replace(known, retired=True))
            shared.log.close()
            for batch in _bring_to_rest(replica, splitters):
                write_state(replica, batch, name=states.PROMOTED, reason=_REASON)
            return _copy(replica, shared, target, known)


@contextmanager
def _alone(target: Outbox) -> Iterator[None]:
    """Let no other move write beside the directory: a copy may take longer than the lease lasts."""
    root = target.path.rpartition("/")[0]
    lock = target.disk.try_lock(f"{root}/{_UNFINISHED}.lock")
    if lock is None:
        raise OutboxBusy(
            "an outbox is being moved to this directory",
            where=root,
            next_step="Wait until that has ended. If it failed, run the same command again.",
        )
    try:
        yield
    finally:
        lock.release()


def _moved_before(target: Outbox, known: Identity) -> int:
    """How many batches an earlier try that was complete has moved to the directory ``target``.

    Raises OperatorError if the outbox there is another one.
    """
    found = target.identity()
    if found is not None and (found.id, found.epoch) == (known.id, known.epoch + 1):
        return sum(1 for _ in target.all_batches())
    raise OperatorError(
        "this directory has an outbox already",
        where=target.path,
        next_step="Nothing was changed. If it is retired, move it elsewhere with `mv`, or give another "
        "directory.",
    )


def _bring_to_rest(replica: Replica, splitters: Mapping[str, Splitter]) -> list[Batch]:
    """What is to be moved as it is. Raises OperatorError if a sender may still be at work on a batch."""
    recover(replica.ready_by_age(), Recorder(replica, Report(), ignore_events), splitters, lambda: 0.0)
    found = [batch for batch in replica.ready() if _name(batch) not in states.ENDED]
    moving = [batch for batch in found if _name(batch) not in AT_REST]
    if moving:
        raise OperatorError(
            f"batches may still be on their way to the service: {len(moving)}, first {moving[0].id[:12]}",
            where=replica.path,
            next_step="Run the same command again in ten minutes.",
        )
    return found + [batch for batch in replica.quarantined() if _name(batch) not in states.ENDED]


def _name(batch: Batch) -> str:
    return batch.state.name if batch.state is not None else ""


def _claim_place(shared: SharedOutbox, place: str) -> None:
    """Note where the outbox goes. Raises OperatorError if it went elsewhere."""
    key = layout.first_key(MOVED)
    if not claim(shared.store, key, records.encode(to=place), shared.clock):
        to = str(records.decode(read_existing(shared.store, key, shared.clock))["to"])
        if to != place:
            raise OperatorError(
                f"this outbox was moved to {to}",
                where=shared.where,
                next_step="Use it there; another copy would send the same rows.",
            )


def _copy(replica: Replica, shared: SharedOutbox, target: Outbox, known: Identity) -> int:
    """Make the directory beside its place, and put it there."""
    disk, (root, _, name) = target.disk, target.path.rpartition("/")
    disk.remove_tree(f"{root}/{_UNFINISHED}")
    disk.make_dir(f"{root}/{_UNFINISHED}")
    made = Outbox(disk, target.clock, f"{root}/{_UNFINISHED}/{name}")
    made.create()
    made.save_keyring(replica.load_keyring())
    for file in (AUDIT_LOG, BREAKER_FILE, *filter(FILES.fullmatch, replica.disk.names(replica.path))):
        made.replace_file(file, replica.read_file(file) or b"")
    copies = _copies(shared)
    for folder in sorted({copy.folder for copy in copies if copy.folder.startswith("done/")}):
        disk.make_dir(f"{made.path}/{folder}")
    for copy in copies:
        _write(replica, made, copy)
    for folder in sorted({"done", *(copy.folder for copy in copies)}):
        disk.sync_dir(f"{made.path}/{folder}")
    rebuild(made)
    here = disk.place(made.path)._asdict()
    made.save_identity(Identity(known.id, known.epoch + 1, created=known.created, **here))
    with exclusive(made):  # until its name is durable
        disk.rename(made.path, target.path)
        disk.sync_dir(root)
    disk.remove_tree(f"{root}/{_UNFINISHED}")
    return len(copies)


def _copies(shared: SharedOutbox) -> list[_Copy]:
    """Every accepted batch. Of several withdrawn ones with the same id, the newest is kept."""
    store, found = shared.store, dict[tuple[bool, str], _Copy]()
    quarantined = {key.partition("/")[2] for key in store.keys("quarantine/")}
    for name in sorted({key.split("/")[1] for key in store.keys("batch/")}):
        states_there = Sequence(store, layout.states_prefix(name), shared.clock)
        newest, batch = newest_of(states_there), layout.id_of(name)
        if newest is None:
            continue  # left by a run that was not accepted
        if (newest.record["name"], newest.record["reason"]) == (states.PROMOTED, _REASON):
            folder, number = "quarantine" if name in quarantined else "ready", newest.number - 1
            value = states_there.get(number)
            before = Newest(number, records.decode(value)) if value is not None else None
            found[False, batch] = _Copy(name, folder, state_content(name, before))
        elif newest.record["name"] in (*states.ENDED, states.SPLIT):
            found[True, batch] = _Copy(name, f"done/{batch[:2]}", state_content(name, newest))
    return list(found.values())


def _write(replica: Replica, made: Outbox, copy: _Copy) -> None:
    """Write a batch durably."""
    disk, path = made.disk, f"{made.path}/{copy.folder}/{layout.id_of(copy.name)}"
    disk.make_dir(path)
    disk.create(f"{path}/state", copy.state, sync=True)
    values = {file: replica.read_named(copy.name, file) for file in ("payload", "rowkeys", "manifest.json")}
    if not values["rowkeys"] and copy.folder.startswith("done"):
        values["manifest.json"] = _without_rowkeys(replica, values["manifest.json"] or b"", copy.name)
    for file, data in values.items():
        if data:
            disk.create(f"{path}/{file}", data, sync=True)
    disk.sync_dir(path)


def _without_rowkeys(replica: Replica, data: bytes, where: str) -> bytes:
    """The manifest of a batch without row keys: if their time was over there, that is no damage here."""
    try:
        manifest = manifests.decode(data, where, replica.keyring)
    except DamageError:
        return data
    if replica.clock.now() - manifest.accepted <= periods_of(replica).rowkeys:
        return data
    changed = replace(manifest, rowkeys_sha256=hashlib.sha256(b"").hexdigest())
    return manifests.encode(changed, replica.keyring)
