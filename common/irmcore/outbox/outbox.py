"""One connector's directory: batches staged, accepted, changed in state, set aside, cleaned up.

MUST hold (docs/delivery.md has the proofs):

- a batch is accepted when its directory has been renamed into ``ready/`` and ``ready/`` is synced;
  everything in it was synced before;
- after that, a change of state is one write into space that was reserved at acceptance;
- a move (``done/``, ``quarantine/``) never carries meaning: it may fail, be lost or be repeated;
- what irmexport did not write is never touched, and never stops the rest.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Callable, NamedTuple

from irmcore.clock import Clock
from irmcore.disk import BAD_FILE_ERRNOS, Disk, Lock
from irmcore.errors import (
    BatchDamaged,
    BatchDenied,
    BatchUnwritable,
    DamageError,
    OperatorError,
    OutboxFull,
    UnknownFormat,
)
from irmcore.outbox import manifest as manifests
from irmcore.outbox import staging as bays
from irmcore.outbox import state_file as slots
from irmcore.outbox import states
from irmcore.outbox.manifest import Destination, Manifest
from irmcore.outbox.states import State

_FORMAT = b"irmexport outbox 3\n"
_ID = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")
_PREFIX = re.compile(r"[0-9a-f]{4,64}")
_RUN_FILE = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]+\.(?:csv|json)")
_json = json.JSONEncoder(sort_keys=True).encode
_TMP = "tmp"  # of the connector's own directory
_DIRECTORIES = (_TMP, "ready", "done", "quarantine", "runs", "rejects")
_BREAKER = "gate"  # the sender's slot file: reserved like the states, for a receipt must find its space

#: The most batches that may wait; then new work is refused.
MAX_WAITING = 200_000
#: Bytes that stay free on the disk after new work is accepted, for states and receipts.
MIN_FREE_BYTES = 64 * 1024 * 1024


@contextmanager
def _its_own(batch: str) -> Iterator[None]:
    """Tell an error of one batch's state file from one of the whole disk (full, read-only)."""
    try:
        yield
    except OSError as error:
        if error.errno not in (*BAD_FILE_ERRNOS, errno.EACCES):
            raise
        raise BatchUnwritable(error, batch) from error


@dataclass(frozen=True)
class Draft:
    """A batch before it is accepted: opaque payload, its rows, and the row keys that go with it."""

    payload: bytes
    content_type: str
    destination: Destination
    rows: int
    rowkeys: Callable[[bytes], bytes]  # from the batch id's bytes to the file


class Batch(NamedTuple):
    """A batch where it stands. ``state`` is None if none of its slots can be read.

    ``unknown``: a later version of irmexport wrote its state; ``denied``: this user may not read it.
    Neither is touched.
    """

    id: str
    path: str
    place: str  # ready, done or quarantine
    state: State | None
    number: int
    damaged: bool
    unknown: bool = False
    denied: bool = False


class Outbox:
    """The directory of one connector."""

    def __init__(self, disk: Disk, clock: Clock, path: str) -> None:
        self.disk = disk
        self.clock = clock
        self.path = path
        self._done_synced = False

    # -- the directory ------------------------------------------------------------------

    def exists(self) -> bool:
        return self.disk.exists(f"{self.path}/FORMAT")

    def create(self) -> None:
        """Make what is missing of the directory. Raises UnknownFormat if a later version made it."""
        if self.exists():
            self.check_format()
            self.disk.sync_dir(self.path)  # whoever made it may have died before its own sync
            return
        parent = self.path.rsplit("/", 1)[0]
        self._make_dir(self.path)
        self.disk.sync_dir(parent)
        for name in _DIRECTORIES:
            self._make_dir(f"{self.path}/{name}")
        # What a sender needs is reserved, so that it works on a full disk as well.
        for lock in (self.sender_lock(), self.intake_lock()):
            if lock is not None:
                lock.release()
        for bay in [bays.take(self.disk, f"{self.path}/{_TMP}") for _ in range(2)]:
            bay.close()  # one for a run, one for whoever splits, gives way or cleans up meanwhile
        # Each syncs the directory: when FORMAT is there, all of the above is.
        self.replace_file(_BREAKER, slots.empty_file())
        self.replace_file("FORMAT", _FORMAT)

    def check_format(self) -> None:
        """Raises UnknownFormat unless this version wrote the directory; nothing is touched."""
        if self.disk.read(f"{self.path}/FORMAT") != _FORMAT:
            raise UnknownFormat(
                "this outbox was written in a format that this version does not know",
                where=self.path,
                next_step="Use the irmexport version that wrote it, or a later one.",
            )

    def _make_dir(self, path: str) -> None:
        try:
            self.disk.make_dir(path)
        except FileExistsError:
            return

    def sender_lock(self) -> Lock | None:
        """The lock of the one sender, or None if another process has it."""
        return self.disk.try_lock(f"{self.path}/sender.lock")

    def intake_lock(self) -> Lock | None:
        """The lock of whoever accepts rows, or None if another process has it."""
        return self.disk.try_lock(f"{self.path}/intake.lock")

    # -- settings and gate, beside the batches -----------------------------------------------

    def replace_file(self, name: str, data: bytes) -> None:
        """Put ``data`` in place of the file ``name`` as a whole, durably."""
        # A name of its own: two processes may do the same at once.
        temporary = f"{self.path}/{_TMP}/{name}-{secrets.token_hex(4)}.new"
        self.disk.create(temporary, data, sync=True)
        self.disk.rename(temporary, f"{self.path}/{name}")
        self.disk.sync_dir(self.path)

    def read_file(self, name: str) -> bytes | None:
        path = f"{self.path}/{name}"
        return self.disk.read(path) if self.disk.exists(path) else None

    # -- batches ------------------------------------------------------------------------

    def waiting(self) -> list[Batch]:
        """All batches in ``ready/``, the oldest first; foreign names are passed over."""
        return sorted(
            self._all("ready"), key=lambda batch: (batch.state.order if batch.state else 0, batch.id)
        )

    def quarantined(self) -> list[Batch]:
        return list(self._all("quarantine"))

    def done(self) -> Iterator[Batch]:
        for shard in self._shards():
            yield from self._all(shard)

    def everything(self) -> Iterator[Batch]:
        yield from self.waiting()
        yield from self.quarantined()
        yield from self.done()

    def ids(self) -> Iterator[str]:
        """The id of every batch, each once, also of those that a sender splits or moves meanwhile."""
        seen: set[str] = set()
        while True:
            found = len(seen)
            for place in self._places():
                new = [name for name in self._ids(place) if name not in seen]
                seen.update(new)
                yield from new
            if len(seen) == found:
                return

    def _places(self) -> Iterator[str]:
        """Where batches are, in the order in which they move; each looked up when it is asked for."""
        yield "ready"
        yield "quarantine"
        yield from self._shards()
        yield "ready"  # once more: a batch may be brought back from quarantine/ meanwhile

    def _shards(self) -> Iterator[str]:
        for shard in self.disk.names(f"{self.path}/done"):
            if _SHARD.fullmatch(shard):
                yield f"done/{shard}"

    def _ids(self, place: str) -> list[str]:
        return [n for n in self.disk.names(f"{self.path}/{place}") if _ID.fullmatch(n)]

    def _all(self, place: str) -> Iterator[Batch]:
        for name in self._ids(place):
            batch = self._load(name, place)
            if batch.state is not None or self.disk.exists(batch.path):
                yield batch  # else it was moved since its name was read

    def _load(self, name: str, place: str) -> Batch:
        path = f"{self.path}/{place}/{name}"
        try:
            found = slots.decode(self.disk.read(f"{path}/state"), f"{path}/state")
            state = State.of(found.record) if found.record is not None else None
            number, damaged = found.number, found.damaged or state is None
        except UnknownFormat:
            return Batch(name, path, place.split("/", 1)[0], None, -1, damaged=False, unknown=True)
        except PermissionError:
            return Batch(name, path, place.split("/", 1)[0], None, -1, damaged=False, denied=True)
        except (FileNotFoundError, NotADirectoryError, KeyError, TypeError):
            state, number, damaged = None, -1, True
        except OSError as error:
            if error.errno not in BAD_FILE_ERRNOS:
                raise
            state, number, damaged = None, -1, True
        return Batch(name, path, place.split("/", 1)[0], state, number, damaged)

    def settle_moves(self) -> None:
        """Make durable that batches are in ``ready/``: who put them there may have died before its sync."""
        self.disk.sync_dir(f"{self.path}/ready")

    def place_of(self, name: str) -> str | None:
        """Where the batch of this id stands, or None."""
        # Twice in ready/: a batch may be brought back while this looks elsewhere.
        for place in ("ready", "quarantine", f"done/{name[:2]}", "ready"):
            if self.disk.exists(f"{self.path}/{place}/{name}"):
                return place
        return None

    def standing(self, name: str) -> Batch | None:
        """The batch of this id as it is now, or None."""
        while (place := self.place_of(name)) is not None:
            found = self._load(name, place)
            if found.state is not None or self.disk.exists(found.path):
                return found  # else the sender has moved it since: look where it is now
        return None

    def reload(self, name: str) -> Batch:
        """The batch of this id as it is now. Raises OperatorError if there is none."""
        found = self.standing(name)
        if found is None:
            raise OperatorError(
                f"there is no batch {name[:12]}",
                where=self.path,
                next_step="See `irmexport status`.",
            )
        return found

    def match(self, prefix: str) -> list[str]:
        """The ids that begin with ``prefix`` (at least four hexadecimal digits)."""
        if not _PREFIX.fullmatch(prefix):
            return []
        places = ("ready", "quarantine", f"done/{prefix[:2]}")
        return sorted({n for p in places for n in self._ids(p) if n.startswith(prefix)})

    def manifest(self, batch: Batch) -> Manifest:
        """Raises BatchDamaged, BatchDenied, UnknownFormat."""
        path = f"{batch.path}/manifest.json"
        data = self._read(path)
        if data is None:
            raise BatchDamaged("the manifest is missing", where=path, next_step="The batch is set aside.")
        found = manifests.decode(data, path)
        if found.id != batch.id:
            raise BatchDamaged(
                "the manifest is of another batch", where=path, next_step="The batch is set aside."
            )
        return found

    def payload(self, batch: Batch, manifest: Manifest) -> bytes:
        """The payload, proven to be what was accepted. Raises BatchDamaged, BatchDenied."""
        path = f"{batch.path}/payload"
        data = self._read(path) or b""
        if manifests.batch_id(manifest.destination, manifest.content_type, data) != batch.id:
            raise BatchDamaged(
                "the payload is not what was accepted (its hash differs)",
                where=path,
                next_step="The batch is set aside; send its rows again from where they came.",
            )
        return data

    def _read(self, path: str) -> bytes | None:
        """A batch's file, or None if there is none. Raises BatchDamaged, BatchDenied, OSError."""
        try:
            return self.disk.read(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            raise BatchDenied(
                "this user may not read a file of the batch",
                where=path,
                next_step="Give the outbox to the user who runs this (files 0600, directories 0700).",
            ) from None
        except OSError as error:
            if error.errno not in BAD_FILE_ERRNOS:
                raise
            raise BatchDamaged(
                f"the disk cannot read it ({error.strerror})",
                where=path,
                next_step="Check the disk. The batch is set aside; once it can be read, `irmexport requeue`.",
            ) from None

    def rowkeys(self, batch: Batch) -> bytes:
        """The batch's ``rowkeys`` file; empty if it has none."""
        path = f"{batch.path}/rowkeys"
        return self.disk.read(path) if self.disk.exists(path) else b""

    def look_up(self, name: str) -> tuple[Batch, bytes] | None:
        """The batch of this id with its row keys, also while the sender moves it; None if there is none."""
        tries = 3
        while (batch := self.standing(name)) is not None:
            tries -= 1
            try:
                return batch, self.disk.read(f"{batch.path}/rowkeys")
            except (FileNotFoundError, NotADirectoryError):
                if not tries:
                    return batch, b""
        return None

    def change(self, batch: Batch, **changes: Any) -> Batch:
        """Write a new state, durably, and give the batch with it. Raises BatchUnwritable, OSError."""
        if batch.state is None:
            raise BatchDamaged(
                "no state of this batch can be read", where=batch.path, next_step="It is set aside."
            )
        state = batch.state._replace(at=self.clock.now(), **changes)
        path, number = f"{batch.path}/state", batch.number + 1
        with _its_own(batch.id):
            slots.write(self.disk, path, state.as_record(), number)
            if batch.damaged:
                slots.mend(self.disk, path, number)
        return batch._replace(state=state, number=number, damaged=False)

    def settle(self, batch: Batch) -> None:
        """Make the state durable that was read: a process may have died between its write and its sync.

        Raises BatchUnwritable, OSError.
        """
        with _its_own(batch.id):
            self.disk.sync(f"{batch.path}/state")

    def give_up(self, batch: Batch) -> Batch:
        """Write the state WITHDRAWN, durably, also over one of which nothing can be read."""
        if batch.state is not None and not batch.damaged:
            return self.change(batch, name=states.WITHDRAWN, reason="withdrawn")
        now = self.clock.now()
        state = State(states.WITHDRAWN, now, int(now * 1e9), reason="withdrawn")
        path = f"{batch.path}/state"
        if self.disk.exists(path):
            self.disk.remove(path)
        self.disk.create(path, slots.blank_file(state.as_record()), sync=True)
        self.disk.sync_dir(batch.path)
        return batch._replace(state=state, number=0, damaged=False)

    def note(self, batch: Batch, event: dict[str, Any]) -> None:
        """Add a line to the batch's history (``attempts.jsonl``), durably. Raises OSError.

        The file was made with the batch, so that its name needs no sync here.
        """
        line = _json({"at": self.clock.now(), **event}) + "\n"
        known = self.history_file(batch)
        if known and not known.endswith(b"\n"):
            line = "\n" + line  # the line before was cut off by a crash
        self.disk.append(f"{batch.path}/attempts.jsonl", line.encode("ascii"), sync=True)

    def history(self, batch: Batch) -> list[dict[str, Any]]:
        """What ``note`` wrote, oldest first; a line that a crash cut off or that was damaged is left out."""
        events = []
        for line in self.history_file(batch).split(b"\n"):
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict) and _is_moment(event.get("at")):
                events.append(event)
        return events

    def history_file(self, batch: Batch) -> bytes:
        try:
            return self.disk.read(f"{batch.path}/attempts.jsonl")
        except (FileNotFoundError, NotADirectoryError):
            return b""

    def finish(self, batch: Batch) -> None:
        """Move a batch that needs nothing more to ``done/``. Raises OSError, which harms nothing."""
        done = f"{self.path}/done"
        shard = f"{done}/{batch.id[:2]}"
        new = not self.disk.exists(shard)
        if new:
            self._make_dir(shard)
        if new or not self._done_synced:
            self.disk.sync_dir(done)  # a batch must not move into a directory that a power loss takes away
            self._done_synced = True
        self._give_way(batch.id)
        self.disk.rename(batch.path, f"{shard}/{batch.id}")

    def _give_way(self, name: str) -> None:
        """Remove the withdrawn batch of this id from ``done/``, whose history its successor has."""
        place = f"done/{name[:2]}"
        if self.disk.exists(f"{self.path}/{place}/{name}") and self.given_up(self._load(name, place)):
            self._discard(f"{self.path}/{place}/{name}")

    def _discard(self, path: str) -> None:
        """Remove a batch: out of the way as a whole, durably; what a crash leaves of it is swept."""
        bay = bays.take(self.disk, f"{self.path}/{_TMP}")
        try:
            self.disk.rename(path, f"{bay.path}/{path.rsplit('/', 1)[1]}")
            self.disk.sync_dir(bay.path)
        except BaseException:
            bay.leave()  # as it is: half of a batch whose move is not durable might come back
            raise
        bay.close()

    def given_up(self, batch: Batch) -> bool:
        """Whether a batch was withdrawn, be it as the halves that it was split into."""
        name = batch.state.name if batch.state else ""
        if name != states.SPLIT:
            return name == states.WITHDRAWN
        halves = [other for other in self.everything() if self._split_from(other) == batch.id]
        return bool(halves) and all(map(self.given_up, halves))

    def _split_from(self, batch: Batch) -> str | None:
        try:
            return self.manifest(batch).profile.get("split_from")
        except DamageError:
            return None

    def set_aside(self, batch: Batch) -> None:
        """Move a batch that failed its checks to ``quarantine/``. Raises OSError, which harms nothing."""
        self.disk.rename(batch.path, f"{self.path}/quarantine/{batch.id}")

    def bring_back(self, batch: Batch) -> Batch:
        """Move a batch from ``quarantine/`` to ``ready/`` again, durably."""
        self.disk.rename(batch.path, f"{self.path}/ready/{batch.id}")
        self.disk.sync_dir(f"{self.path}/ready")
        return self.reload(batch.id)

    def _clean_records(self, rejects_before: float, runs_before: float) -> None:
        """Remove reject files (they hold rows) and run records; a run's id begins with its time."""
        for place, before in (("rejects", rejects_before), ("runs", runs_before)):
            oldest = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(max(before, 0.0)))
            for name in self.disk.names(f"{self.path}/{place}"):
                if _RUN_FILE.fullmatch(name) and name < oldest:
                    self.disk.remove(f"{self.path}/{place}/{name}")

    def clean_up(self, *, payload_seconds: float, batch_seconds: float) -> tuple[int, int]:
        """Remove payloads and batches of ``done/`` that are older than their retention time.

        Gives how many of each. Only batches that need nothing more are touched.
        """
        payloads = batches = 0
        now = self.clock.now()
        self._clean_records(now - payload_seconds, now - batch_seconds)
        for batch in self.done():
            if batch.state is None or batch.state.name not in (*states.ENDED, states.SPLIT):
                continue
            age = now - batch.state.at
            if age > batch_seconds:
                self._discard(batch.path)
                batches += 1
            elif age > payload_seconds and self.disk.exists(f"{batch.path}/payload"):
                self.disk.remove(f"{batch.path}/payload")
                payloads += 1
        return payloads, batches

    # -- staging ------------------------------------------------------------------------

    def stage(self, run: str, *, renew: bool = True) -> Staging:
        """Begin a run; ``renew``: it may accept a batch anew that was given up.

        Raises OutboxFull if the outbox is full.
        """
        waiting = len(self._ids("ready"))
        if waiting >= MAX_WAITING:
            raise OutboxFull(
                f"{waiting} batches are waiting, which is the limit",
                where=self.path,
                next_step="Run `irmexport status` to see why they wait.",
            )
        return Staging(self, run, renew=renew)

    def sweep(self) -> None:
        """Remove what runs that died have left under ``tmp/``. Raises OSError."""
        bays.sweep(self.disk, f"{self.path}/{_TMP}")


class Staging:
    """The batches of one run, in a bay of its own: all accepted by ``accept``, or none."""

    def __init__(self, outbox: Outbox, run: str, *, renew: bool) -> None:
        self.run = run
        self._renew = renew
        self._outbox = outbox
        self._disk = outbox.disk
        self._bay = bays.take(outbox.disk, f"{outbox.path}/{_TMP}")
        self._path = self._bay.path
        self._drafts: list[tuple[str, Draft, dict[str, Any]]] = []

    def write(self, name: str, data: bytes) -> None:
        """Add to a file of the run that is not a batch (its reject file)."""
        self._disk.append(f"{self._path}/{name}", data)

    def add(self, draft: Draft) -> str:
        """Write a batch, not accepted yet nor durable, and give its id."""
        name = manifests.batch_id(draft.destination, draft.content_type, draft.payload)
        if self._disk.free_bytes(self._path) < MIN_FREE_BYTES + 2 * len(draft.payload):
            raise OutboxFull(
                "the disk is almost full",
                where=self._outbox.path,
                next_step="Free some space; nothing of this run was accepted.",
            )
        path = f"{self._path}/{name}"
        self._disk.make_dir(path)
        self._disk.create(f"{path}/payload", draft.payload)
        keys = draft.rowkeys(bytes.fromhex(name))
        self._disk.create(f"{path}/rowkeys", keys)
        kept = replace(draft, payload=b"", rowkeys=lambda _: b"")
        self._drafts.append((name, kept, _sums(draft.payload, keys)))
        return name

    def ids(self) -> list[str]:
        return [name for name, _, _ in self._drafts]

    def keep(self, name: str, place: str) -> str:
        """Move a file of the run to ``place``/<run>.<suffix>, durably, and give its path."""
        suffix = name.rsplit(".", 1)[1]
        target = f"{self._outbox.path}/{place}/{self.run}.{suffix}"
        self._disk.sync(f"{self._path}/{name}")
        self._disk.rename(f"{self._path}/{name}", target)
        self._disk.sync_dir(f"{self._outbox.path}/{place}")
        return target

    def prepare(self, describe: Callable[[str, Draft, int, dict[str, Any]], Manifest]) -> None:
        """Write manifests and states, and sync all of every batch: one rename short of accepted."""
        order = int(self._outbox.clock.now() * 1e9)
        for part, (name, draft, sums) in enumerate(self._drafts):
            path = f"{self._path}/{name}"
            first = State(states.READY, self._outbox.clock.now(), order + part)
            # Nothing is synced before all is there: so the names and inodes of its files are written once.
            self._disk.create(f"{path}/attempts.jsonl", b"")
            self._disk.create(f"{path}/state", slots.blank_file(first.as_record()))
            manifest = manifests.encode(describe(name, draft, part, sums))
            self._disk.create(f"{path}/manifest.json", manifest, sync=True)
            for file in ("payload", "rowkeys", "state"):
                self._disk.sync(f"{path}/{file}")
            self._disk.sync_dir(path)

    def accept(self) -> list[str]:
        """Rename all batches into ``ready/``; a batch that stands already is left as it is.

        One that was given up has this for its successor, which takes its history over.
        """
        ready = f"{self._outbox.path}/ready"
        for name in self.ids():
            there = self._outbox.standing(name)
            if there is not None:
                if not (self._renew and self._outbox.given_up(there)):
                    continue
                history = self._outbox.history_file(there)
                self._disk.append(f"{self._path}/{name}/attempts.jsonl", history, sync=True)
                if there.place != "done":
                    self._outbox.finish(there)
            self._disk.rename(f"{self._path}/{name}", f"{ready}/{name}")
        self._disk.sync_dir(ready)
        return self.ids()

    def close(self) -> None:
        """Remove what is left of the run under ``tmp/``, or leave it to the next one's sweep."""
        try:
            self._bay.close()
        except OSError:
            return  # the run ended as it did; only rubbish stays


def _is_moment(found: object) -> bool:
    """Whether this is a time in seconds since 1970, before the year 10000."""
    return isinstance(found, (int, float)) and 0 <= found < 253_402_300_800


def _sums(payload: bytes, rowkeys: bytes) -> dict[str, Any]:
    return {
        "payload_sha256": hashlib.sha256(payload).hexdigest(),
        "payload_bytes": len(payload),
        "rowkeys_sha256": hashlib.sha256(rowkeys).hexdigest(),
    }
