"""Rewrite a whole outbox: migrate it from format 3, rotate its key, or repair what can be restored.

Each file says by itself whether it was rewritten, so a rewriting that was interrupted anywhere is finished by
running it again. While it lasts, ``FORMAT`` keeps every other process out.

Not promised: that an earlier version can use an outbox after a migration has begun.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from irmcore.errors import DamageError, OperatorError, UnknownFormat
from irmcore.intake.ledger.recovery import read_ledger, rebuild
from irmcore.operations.adoption import exclusive
from irmcore.outbox import (
    Outbox,
    audit_chain,
    audit_log,
    formats,
    guard,
    rowkeys,
    sealed,
    state_file,
    states,
)
from irmcore.outbox import manifest as manifests
from irmcore.outbox.batch import Batch
from irmcore.outbox.identity import Identity
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.manifest import Manifest
from irmcore.outbox.outbox import AUDIT_LOG, BREAKER_FILE
from irmcore.outbox.rowkeys import Damaged, RowKey
from irmcore.outbox.states import State
from irmcore.outbox.transitions import move_to_done

_OLD_RECORD = struct.Struct(">Q24si8s")
_OLD_BREAKER_FILE = "gate"
_OLD_HISTORY, _OLD_OPERATIONS, _OLD_RUNS = "attempts.jsonl", "operations.jsonl", "runs"
_SETTINGS = re.compile(r"connector\.json|indicators\.json|cursor(-.*)?")


def migrate_if_old(outbox: Outbox) -> bool:
    """Migrate an outbox of format 3, or repair ``FORMAT`` and ``outbox.json``: where nobody has a shell.

    Returns whether anything was done. Raises as ``migrate`` and ``repair``.
    """
    if not outbox.exists():
        return False
    try:
        outbox.check_format()
    except UnknownFormat:
        if outbox.read_file(formats.FILE) != formats.OLD_LINE:
            raise
        migrate(outbox)
    except DamageError:
        repair(outbox)
    else:
        return False
    return True


def migrate(outbox: Outbox) -> int:
    """Migrate an outbox of format 3, or finish that. Returns the number of batches.

    Raises OperatorError if it has format 4, OutboxBusy while a process uses it, PlaceRefused, OSError.
    """
    outbox.require_directory("migrating it", "It was made with format 4, and there is nothing to migrate.")
    outbox.check_place()
    with exclusive(outbox):
        if outbox.read_file(formats.FILE) == formats.LINE and outbox.identity() is not None:
            raise OperatorError(
                "this outbox has format 4 already",
                where=outbox.path,
                next_step="Nothing was changed. `irmexport status` shows its batches.",
            )
        return _rewrite(outbox)


def rotate(outbox: Outbox) -> int:
    """Add a generation to the key, and key everything anew. Returns the number of batches.

    Raises as ``Outbox.check``, and OutboxBusy.
    """
    outbox.require_directory(
        "rotating its key",
        f"Move it with `irmexport outbox move {outbox.name} DIRECTORY --why REASON`, rotate its key there, "
        "and move it to another address.",
    )
    outbox.check()
    with exclusive(outbox):
        return _rewrite(outbox, rotate=True)


def repair(outbox: Outbox) -> int:
    """Finish a rewriting, and restore ``FORMAT``, ``outbox.json``, the key's copy, row keys and the ledger.

    It works on a copy, too, which stays one. Returns the number of batches whose row keys were restored.
    Raises UnknownFormat, PlaceRefused on a network file system, KeyMissing, OutboxBusy.
    """
    outbox.require_directory(
        "repairing it",
        "Restore what is damaged from the versions or soft-deleted objects that the store has kept. "
        f"`irmexport outbox move {outbox.name} DIRECTORY --why REASON` builds a row ledger anew.",
    )
    guard.refuse_network(outbox.disk.place(outbox.path).file_system, outbox.path)
    try:
        outbox.check_format()
    except UnknownFormat:
        raise
    except DamageError:
        with exclusive(outbox):
            _rewrite(outbox)
    with exclusive(outbox):
        outbox.check_format()
        ring = outbox.load_keyring()
        outbox.save_keyring(ring)
        restored = _restore_rowkeys(outbox)
        rebuild(outbox)
    return restored


def _rewrite(outbox: Outbox, *, rotate: bool = False) -> int:
    """Bring an outbox of format 3 or 4, or one that is half way, to format 4 and the newest key."""
    known = outbox.identity()
    if known is None and not any(outbox.keyrings().values()) and not _has_format_4(outbox):
        made = Identity.new(outbox.disk.place(outbox.path), outbox.clock.now())
        outbox.save_keyring(Keyring.new(made.id))
    ring = outbox.load_keyring()
    if known is None:
        known = _identity_on_record(outbox, ring)
    outbox.replace_file(formats.FILE, formats.REWRITING_LINE)
    # Both copies get the newest generation, also after a rotation that was interrupted between them.
    outbox.save_keyring(ring.rotated() if rotate else ring)
    outbox.sync_ready()
    for batch in outbox.ready():
        if batch.state is not None and batch.state.name == states.ERASED:
            move_to_done(outbox, batch)  # what it has prepared is under the former key
    # A withdrawn batch may be in done/ beside its successor, so ids do not name them.
    batches = list(outbox.all_batches())
    if not outbox.disk.exists(f"{outbox.path}/{AUDIT_LOG}"):
        _import_log(outbox, batches)
    elif rotate:
        audit_log.append(outbox, {"event": "key-rotated", "generation": outbox.keyring.newest})
    for batch in batches:
        _rewrite_batch(outbox, batch)
    _rewrite_files(outbox)
    rebuild(outbox)
    outbox.save_identity(known)
    outbox.replace_file(formats.FILE, formats.LINE)
    return len(batches)


def _identity_on_record(outbox: Outbox, ring: Keyring) -> Identity:
    """What replaces a lost ``outbox.json``: the outbox is where it was made, as far as its history says."""
    events = list(audit_log.read(outbox))
    epochs = [int(event["epoch"]) for event in events if "epoch" in event]
    return replace(
        Identity.new(outbox.disk.place(outbox.path), outbox.clock.now()),
        id=ring.outbox,
        epoch=max(epochs, default=1),
        retired=any(event.get("event") == "retired" for event in events),
    )


def _has_format_4(outbox: Outbox) -> bool:
    """Whether anything is keyed already, so that a new key would be the wrong one."""
    return outbox.read_file(BREAKER_FILE) is not None


def _rewrite_batch(outbox: Outbox, batch: Batch) -> None:
    values = _manifest_values(outbox, batch)
    outbox.disk.remove_tree(f"{batch.path}/{_OLD_HISTORY}")
    _rewrite_rowkeys(outbox, batch, values)
    if values is None:
        return  # the batch is damaged, stays so, and is reported
    manifest = _rewrite_manifest(outbox, batch, values)
    _rewrite_state(outbox, f"{batch.path}/state", batch.id, manifest.id)
    if manifest.id == batch.id:
        return
    folder = f"{outbox.path}/{batch.folder}"
    if batch.folder == "done":
        folder = f"{folder}/{manifest.id[:2]}"
        if not outbox.disk.exists(folder):
            outbox.disk.make_dir(folder)
            outbox.disk.sync_dir(f"{outbox.path}/done")
    outbox.disk.rename(batch.path, f"{folder}/{manifest.id}")
    outbox.disk.sync_dir(folder)


def _rewrite_rowkeys(outbox: Outbox, batch: Batch, values: dict[str, Any] | None) -> None:
    """Encrypt the row keys under the newest key. Those that are damaged become an empty file.

    ``values`` are the manifest's, None if it is damaged.
    """
    ring, file = outbox.keyring, f"{_inside(outbox, batch)}/rowkeys"
    data = outbox.read_file(file) or b""
    generation = rowkeys.generation_of(data)
    if generation == ring.newest:
        return
    text = b""
    if values is None or hashlib.sha256(data).hexdigest() == values["rowkeys_sha256"]:
        with suppress(Damaged):
            records = rowkeys.unseal(ring, data) if generation else _old_records(data)
            text = rowkeys.seal(ring, _renamed(records, ring, values) if values else records)
    if text != data:
        outbox.replace_file(file, text)


def _renamed(records: bytes, ring: Keyring, values: dict[str, Any]) -> bytes:
    """Records that name their batch by its id of the newest key."""
    ids = [values["id"], *filter(None, [values["profile"].get("split_from")])]
    now = {bytes.fromhex(name)[:8]: bytes.fromhex(ring.keyed(name, values["generation"]))[:8] for name in ids}
    return rowkeys.pack(row._replace(batch=now.get(row.batch, row.batch)) for row in rowkeys.unpack(records))


def _old_records(data: bytes) -> bytes:
    """The records of a ``rowkeys`` file of format 3. Raises Damaged."""
    records = data[:-4]
    if not data:
        return b""
    if len(records) % _OLD_RECORD.size or data[-4:] != struct.pack(">I", zlib.crc32(records)):
        raise Damaged
    return rowkeys.pack(RowKey(*found) for found in _OLD_RECORD.iter_unpack(records))


def _manifest_values(outbox: Outbox, batch: Batch) -> dict[str, Any] | None:
    """The values of a manifest of either format, as of format 4; None if it is damaged or another batch's."""
    try:
        values = sealed.decode(outbox.disk.read(f"{batch.path}/manifest.json"))
        ring = outbox.keyring
        if values["format"] == 1:
            values["payload_check"] = values.pop("payload_sha256")
            values["generation"] = 0
        elif not manifests.is_genuine(values, ring):
            return None
        values.pop("mac", None)
        del values["format"]
        now = ring.keyed(values["id"], values["generation"])
        manifests.of_values({**values})
    except (ValueError, KeyError, TypeError, OSError):
        return None
    # The directory may have an earlier id than the manifest, if a rewriting was interrupted.
    own = now in {ring.keyed(batch.id, after) for after in range(ring.newest + 1)}
    return values if own else None


def _rewrite_manifest(outbox: Outbox, batch: Batch, values: dict[str, Any]) -> Manifest:
    """Key the ids in a manifest anew, unless they are."""
    ring, generation = outbox.keyring, values["generation"]
    if generation == ring.newest:
        return manifests.of_values(values)
    for names in (values, values["profile"]):
        for key in {"id", "payload_check", "split_from"} & set(names):
            names[key] = ring.keyed(names[key], generation)
    data = outbox.read_file(f"{_inside(outbox, batch)}/rowkeys") or b""
    if data:
        values["rowkeys_sha256"] = hashlib.sha256(data).hexdigest()
    manifest = manifests.of_values({**values, "generation": ring.newest})
    outbox.replace_file(f"{_inside(outbox, batch)}/manifest.json", manifests.encode(manifest, outbox.keyring))
    return manifest


def _inside(outbox: Outbox, batch: Batch) -> str:
    """The batch's directory, relative to the outbox."""
    return batch.path[len(outbox.path) + 1 :]


def _restore_rowkeys(outbox: Outbox) -> int:
    """Restore damaged row keys from the row ledger, where it has all of them. Returns of how many batches."""
    damaged = {}
    for batch in outbox.all_batches():
        values = _manifest_values(outbox, batch)
        data = outbox.read_file(f"{_inside(outbox, batch)}/rowkeys") or b""
        if values is not None and hashlib.sha256(data).hexdigest() != values["rowkeys_sha256"]:
            damaged[bytes.fromhex(batch.id)[:8]] = batch, values
    ledger = read_ledger(outbox) if damaged else None
    if ledger is None:
        return 0
    found: dict[bytes, list[bytes]] = {name: [] for name in damaged}
    try:
        for record in ledger.records():
            row = RowKey._make(rowkeys.RECORD.unpack(record))
            found.get(row.batch, []).append(record)
    except Damaged:
        return 0
    restored = 0
    for name, (batch, values) in damaged.items():
        # Of several dates, the order of the rows is lost, which a split needs.
        one_date = len({RowKey._make(rowkeys.RECORD.unpack(record)).day for record in found[name]}) == 1
        if one_date and len(found[name]) == values["rows"]:
            data = rowkeys.seal(outbox.keyring, b"".join(found[name]))
            manifest = manifests.of_values({**values, "rowkeys_sha256": hashlib.sha256(data).hexdigest()})
            outbox.replace_file(f"{_inside(outbox, batch)}/rowkeys", data)
            outbox.replace_file(
                f"{_inside(outbox, batch)}/manifest.json", manifests.encode(manifest, outbox.keyring)
            )
            restored += 1
    return restored


def _rewrite_state(outbox: Outbox, path: str, old: str, new: str) -> None:
    """Write the newest state once more, with the batch's new id. A damaged state stays as it is."""
    try:
        found = state_file.decode(outbox.disk.read(path), path)
        record = dict(found.record or {})
        if record.get("batch", old[:16]) not in (old[:16], new[:16]):
            return
        state = State.of({**record, "batch": new[:16]}, new)
    except (OSError, KeyError, TypeError, DamageError):
        return
    if record.get("batch") != new[:16]:
        state_file.write(outbox.disk, path, state.as_record(new), found.number + 1)


def _import_log(outbox: Outbox, batches: list[Batch]) -> None:
    """Begin the audit log with what format 3 has in the histories of batches and the records of runs."""
    ring = outbox.keyring
    events = [*_old_events(outbox.read_file(_OLD_OPERATIONS) or b"")]
    for batch in batches:
        history = outbox.read_file(f"{_inside(outbox, batch)}/{_OLD_HISTORY}") or b""
        events += [{**event, "batch": ring.keyed(batch.id)} for event in _old_events(history)]
    for name in outbox.disk.names(f"{outbox.path}/{_OLD_RUNS}"):
        record = _unsealed(outbox.read_file(f"{_OLD_RUNS}/{name}") or b"")
        if record is not None and "run" in record:
            started = str(record.pop("at", ""))
            at = _seconds(started)
            record["batches"] = [ring.keyed(one) for one in record.get("batches", ())]
            events.append({**record, "at": at, "started": started, "event": "run"})
    events.sort(key=lambda event: event["at"])
    migrated = {"at": outbox.clock.now(), "event": "migrated", "events": len(events)}
    outbox.replace_file(AUDIT_LOG, audit_chain.content(ring, [*events, migrated]))


def _old_events(history: bytes) -> Iterator[dict[str, Any]]:
    """The events in lines of format 3. Lines that a crash cut off or that are damaged are left out."""
    for line in history.split(b"\n")[:-1]:
        event = _unsealed(line)
        if event is not None and isinstance(event.get("at"), (int, float)) and "event" in event:
            yield event


def _seconds(text: str) -> float:
    """The time in the record of a run; 0 if it cannot be read."""
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _rewrite_files(outbox: Outbox) -> None:
    """Seal the settings and cursors of format 3, and rename the breaker's file."""
    for name in filter(_SETTINGS.fullmatch, outbox.disk.names(outbox.path)):
        data = outbox.read_file(name) or b""
        values = _unsealed(data)
        if values is not None and sealed.encode(values) != data:
            outbox.replace_file(name, sealed.encode(values))
    for name in (_OLD_OPERATIONS, _OLD_RUNS):
        outbox.disk.remove_tree(f"{outbox.path}/{name}")
    if outbox.disk.exists(f"{outbox.path}/{_OLD_BREAKER_FILE}"):
        outbox.disk.rename(f"{outbox.path}/{_OLD_BREAKER_FILE}", f"{outbox.path}/{BREAKER_FILE}")
        outbox.disk.sync_dir(outbox.path)


def _unsealed(data: bytes) -> dict[str, Any] | None:
    """The values of a JSON file with or without a seal; None if it is damaged."""
    try:
        return sealed.decode(data)
    except ValueError:
        pass  # a file of format 3
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) and "check" not in values else None
