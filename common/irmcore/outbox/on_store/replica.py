"""The copy that a process has of an outbox on a store, through which everything else works as on a directory.

Batches are read when they are needed, row values only to be sent or shown, and all of it stays in memory.

Promised: a change is made here only after its numbered record was claimed in the store. If another process
has that number, Overtaken is raised, nothing is changed, and the batch is read anew the next time. What is
copied may be out of date at any moment; a decision that rests on it then fails at its claim. Not promised: to
see what a store shows late, or to accept rows.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from irmcore.clock import Clock
from irmcore.disk import Lock
from irmcore.errors import OperatorError, Overtaken, StoreAway, StoreRefused
from irmcore.outbox import audit_chain, formats, rowkeys, sealed, state_file, states
from irmcore.outbox import manifest as manifests
from irmcore.outbox.audit_chain import START
from irmcore.outbox.batch import Batch
from irmcore.outbox.identity import Identity
from irmcore.outbox.on_store import attempts, layout, records
from irmcore.outbox.on_store.attempts import Attempts, Newest
from irmcore.outbox.on_store.commit_log import CommitLog
from irmcore.outbox.on_store.lease import Lease
from irmcore.outbox.on_store.memory_disk import MemoryDisk
from irmcore.outbox.on_store.witness import Seen, Witness, has_line, head_of, restored
from irmcore.outbox.outbox import (
    AUDIT_LOG,
    BREAKER_FILE,
    IDENTITY_FILE,
    KEY_FILES,
    ROWKEYS_DAYS,
    Outbox,
)
from irmcore.outbox.states import State
from irmcore.store import Store, claim
from irmcore.store.at_once import AtOnce
from irmcore.store.claim import read_existing
from irmcore.store.numbered import DIGITS, KEPT, Sequence

#: Requests at a time, where their order does not matter. A store that takes 25 ms for each accepts the 300
#: values of 100 batches within a second then, and Azurite, which serves one at a time, is not slowed down.
AT_ONCE = 8
#: Batches whose states are read at a time.
_CHUNK = 256
_FILE = re.compile(
    r".*/(?:ready|quarantine|done/[0-9a-f]{2})/([0-9a-f]{64})/(payload|rowkeys|manifest\.json)"
)
#: Where the names in each folder are; a batch may be in several, and the first counts.
#: How many of the newest events ``log_backwards`` reads.
_NEWEST_EVENTS = 200
_PREFIXES = {"quarantine": "quarantine/", "ready": "open/", "done": "batch/"}


class Replica(Outbox):
    """The outbox of one connector on ``store``, whose address is ``where``.

    ``at_once``: requests at a time. With 1, all of them are made by the caller's thread. ``who`` names this
    machine to the others. ``witness``: what this machine has seen of the outbox. ``rolls_back``: the store
    may take back what it acknowledged. ``rowkeys_days``: how long row keys are kept, unless the profile says.
    """

    has_ledger = False

    def __init__(
        self,
        store: Store,
        clock: Clock,
        where: str,
        *,
        at_once: int = AT_ONCE,
        who: str = "",
        witness: Witness | None = None,
        rolls_back: bool = False,
        rowkeys_days: int = ROWKEYS_DAYS,
    ) -> None:
        self._witness, self._rolls_back, self.rowkeys_days = witness, rolls_back, rowkeys_days
        self._memory = _Disk(layout.host_of(where), self)
        super().__init__(self._memory, clock, where)
        self._store = store
        self._at_once = AtOnce(at_once)
        self._log = CommitLog(store, clock, self._at_once)
        self._lease = Lease(store, clock, who)
        self._attempts = Attempts(clock, secrets.token_hex(8))
        self._breaker = Sequence(store, "breaker/", clock)
        self._checkpoints = Sequence(store, "checkpoint/", clock)
        #: Files of the batches that are sent next, by id and name.
        self._ahead: dict[tuple[str, str], Future[bytes | None]] = {}
        #: The newest number of each file and of the breaker that this process has read.
        self._numbers: dict[str, int] = {}
        #: The names that a listing has for each id, by folder: equal batches of several runs have one id.
        self._listings: dict[str, dict[str, list[str]]] = {}
        #: The name of each batch that was copied, and what was read of it since the last lock was taken.
        self._names: dict[str, str] = {}
        self._read: dict[str, Newest | None] = {}
        #: The markers of batches without a receipt, by key and by batch, and the batches that ended here.
        self._markers: dict[str, Mapping[str, Any]] = {}
        self._marked: dict[str, Mapping[str, Any]] = {}
        self._ended: set[str] = set()
        #: A sender found nothing to send: what comes until it returns the lock is left to the next one.
        self._idle = False
        #: Batches whose COMMIT is this process's own.
        self._uploads: set[str] = set()
        #: What takes the place of a batch that is being erased.
        self._rests: dict[str, str] = {}
        #: Batches in the records of the log from ``_log_after`` to ``_log_last``.
        self._committed: set[str] = set()
        self._log_after, self._log_last = 0, -1
        for folder in ("tmp", "ready", "done", "quarantine", "rejects"):
            self._memory.make_dirs(f"{where}/{folder}")
        self._memory.create(f"{where}/{formats.FILE}", formats.LINE)
        self._memory.create(f"{where}/{BREAKER_FILE}", state_file.reserved_file())

    # -- the files of the connector -------------------------------------------------------

    def exists(self) -> bool:
        """Whether the outbox was created, and was read."""
        self.refresh()
        return self._memory.exists(f"{self.path}/{IDENTITY_FILE}")

    def check_format(self) -> Identity:
        self.refresh()
        return super().check_format()

    def refresh(self) -> None:
        """Read what is new of the files, the breaker and, once it was read, the audit log.

        Raises StoreAway, StoreRefused.
        """
        newest: dict[str, int] = {}
        for key in self._store.keys("files/"):
            _, name, number = key.split("/")
            newest[name] = int(number)
        if self._rolls_back:
            self._check_key()
        changed = {name: number for name, number in newest.items() if self._numbers.get(name) != number}
        keys = [f"{layout.file_prefix(name)}{number:012}" for name, number in changed.items()]
        for name, data in zip(changed, self._at_once.each(self._get, keys)):
            self._numbers[name] = changed[name]
            self._put(name, data)
            if name == KEY_FILES[0]:
                self._put(KEY_FILES[1], data)
        self._refresh_breaker()
        if self._has_events():
            self.read_events()

    def _check_key(self) -> None:
        """Raise StoreAway if the store took back the key that was read: then this copy is of no use any more.

        Another process may have made a new one, under the same number.
        """
        name = KEY_FILES[0]
        if name in self._numbers:
            key = f"{layout.file_prefix(name)}{self._numbers[name]:0{DIGITS}}"
            if self._store.get(key) != self._memory.read(f"{self.path}/{name}"):
                raise StoreAway(
                    "the store has taken back the key of this outbox, which it had acknowledged",
                    where=f"{self.path}/{key}",
                    next_step="Nothing was sent or changed. The next try reads the outbox anew.",
                )

    def _get(self, key: str) -> bytes:
        return read_existing(self._store, key, self.clock)

    def _put(self, name: str, data: bytes) -> None:
        """Make ``data`` the content of a file in memory."""
        if name in self._memory.names(self.path):
            self._memory.remove(f"{self.path}/{name}")
        self._memory.create(f"{self.path}/{name}", data)

    def replace_file(self, name: str, data: bytes) -> None:
        if name == AUDIT_LOG:
            self._forget_events(data)
        elif name not in (BREAKER_FILE, KEY_FILES[1]) and self.read_file(name) != data:
            number = self._numbers.get(name, -1)
            files = Sequence(self._store, layout.file_prefix(name), self.clock)
            if not files.append(number, data):
                self.refresh()
                raise self._changed(name)
            self._numbers[name] = number + 1
            if self._numbers[name] % KEPT == 0:
                files.prune()
        super().replace_file(name, data)

    def _changed(self, what: str) -> Overtaken:
        return Overtaken(
            f"another process has changed {what} of this outbox meanwhile",
            where=self.path,
            next_step="Run the same command again.",
        )

    def require_directory(self, what: str, next_step: str) -> None:
        raise OperatorError(
            f"{what} is not possible for an outbox on a store",
            where=self.path,
            next_step=f"Nothing was changed. {next_step}",
        )

    # -- whether it was restored in place --------------------------------------------------

    def check_place(self) -> None:
        super().check_place()
        if lacking := self.rolled_back():
            raise restored(self.path, lacking)

    def rolled_back(self) -> str:
        seen, known = self._witness.seen() if self._witness is not None else None, self.identity()
        if seen is None or known is None or seen.outbox != known.id or known.epoch > seen.epoch:
            return ""
        if known.epoch == seen.epoch and has_line(self._store, self._newest_line(), seen, self._checkpoints):
            return ""
        return f"line {seen.number} of its audit log"

    def _newest_line(self) -> bytes:
        """The newest line of the audit log that is here."""
        return (
            audit_chain.split(self._memory.read(f"{self.path}/{AUDIT_LOG}"))[-1]
            if self._has_events()
            else b""
        )

    def _note_seen(self) -> None:
        """Let this machine remember how far the outbox is."""
        with suppress(OSError, StoreAway, StoreRefused):  # nothing to fail for
            known, head = self.identity(), head_of(self._newest_line())
            if self._witness is not None and known is not None and head != START and not self.rolled_back():
                self._witness.save(Seen(known.id, known.epoch, *head))

    # -- the circuit breaker --------------------------------------------------------------

    def _refresh_breaker(self) -> None:
        newest = self._breaker.newest()
        if newest is not None and self._numbers.get(BREAKER_FILE) != newest.number:
            self._numbers[BREAKER_FILE] = newest.number
            self._put(BREAKER_FILE, _one_record(records.decode(newest.value), newest.number))

    def claim_breaker(self, record: Mapping[str, Any]) -> None:
        number = self._numbers.get(BREAKER_FILE, -1)
        if not self._breaker.append(number, records.encode(**record)):
            self._refresh_breaker()
            raise self._changed("the circuit breaker")
        self._numbers[BREAKER_FILE] = number + 1
        if number % KEPT == 0:
            self._breaker.prune()

    # -- the audit log --------------------------------------------------------------------

    def read_events(self) -> None:
        """Read the lines behind the last one that is here; the newest only if none is."""
        if self._has_events():
            kept = self._memory.read(f"{self.path}/{AUDIT_LOG}")
            known = _number_of(audit_chain.split(kept)[-1])
            first, last = known + 1, self._last_event(known)
        else:
            last, kept = self._last_event(self._noted_event()), self._checkpoint()
            while _number_of(kept) > last:  # the search has ended at lines that were removed
                last, kept = self._last_event(_number_of(kept)), self._checkpoint()
            first, kept = (last, b"") if last > _number_of(kept) else (last + 1, kept)
        lines = self._at_once.each(self._get, map(layout.event_key, range(first, last + 1)))
        if kept or lines:
            self._put(AUDIT_LOG, b"".join([kept, *lines]))
        self._lease.note_event(last)

    def _noted_event(self) -> int:
        """The number of a line that is there, mostly of the last one; 0 if none is known."""
        number = self._lease.last_event
        return number if number and self._has_event(number) else 0

    def _checkpoint(self) -> bytes:
        """The line that stands for those that were removed; empty if none was."""
        newest = self._checkpoints.newest()
        return newest.value if newest is not None else b""

    def _last_event(self, low: int) -> int:
        """The number of the last line. No line between it and number ``low`` is missing.

        A list would name all lines that are kept, so this looks for several numbers at a time.
        """
        probes = [low + 1]
        while probes:
            there = self._at_once.each(self._has_event, probes)
            missing = there.index(False) if False in there else len(probes)
            low = probes[missing - 1] if missing else low
            if missing == len(probes):
                probes = [low + 4**power for power in range(AT_ONCE)]
            else:
                probes = list(range(low + 1, probes[missing], -(-(probes[missing] - low) // AT_ONCE)))
        return low

    def _has_event(self, number: int) -> bool:
        return self._store.get(layout.event_key(number)) is not None

    def _read_all_events(self) -> None:
        keys = sorted(self._store.keys("audit/"), reverse=True)
        found = self._at_once.each(self._get, keys)
        start = self._checkpoint()
        after = _number_of(start)
        self._put(AUDIT_LOG, b"".join([start, *(line for line in found if _number_of(line) > after)]))

    def _has_events(self) -> bool:
        return AUDIT_LOG in self._memory.names(self.path)

    def read_file(self, name: str) -> bytes | None:
        if name == AUDIT_LOG:
            self._read_all_events()
        return super().read_file(name)

    def log_backwards(self) -> Iterator[bytes]:
        # One request a line: whoever looks for something far back does without it.
        return map(self._get, islice(self._store.keys("audit/"), _NEWEST_EVENTS))

    def claim_event(self, number: int, line: bytes) -> bool:
        if claim(self._store, layout.event_key(number), line, self.clock):
            self._lease.note_event(number)
            return True
        self.read_events()
        return False

    def _forget_events(self, data: bytes) -> None:
        """Replace lines by the checkpoint that ``data`` begins with. It is there before they are deleted."""
        line = audit_chain.split(data)[0]
        newest = self._checkpoints.newest()
        if not self._checkpoints.append(newest.number if newest else -1, line):
            raise self._changed("the audit log")
        last = layout.event_key(_number_of(line))
        for key in [key for key in self._store.keys("audit/") if key >= last]:
            self._store.delete(key)

    # -- one sender -----------------------------------------------------------------------

    def sender_lock(self, *, takes_in: bool = False) -> Lock | None:
        """The lease of the outbox's one sender. Whoever takes it reads every batch anew.

        With nothing to send or to decide, there is none to take.
        """
        self._read.clear()
        none = not self._list("ready")
        self._idle = takes_in and none
        if none:
            return self
        return self if self._lease.acquire(takes_in=takes_in) is not None else None

    def checked(self, lock: Lock) -> Lock:
        return super().checked(lock) if self._lease.held else lock  # nothing to send, and nobody waited

    def release(self) -> None:
        """Return the lease, once everything is done that was begun."""
        self._idle = False
        with suppress(StoreAway, StoreRefused):  # then the next sender does it
            self._replace_markers()
        self._at_once.finish()
        self._ahead.clear()
        self._lease.release()
        self._note_seen()

    def holder(self) -> tuple[str, bool]:
        """Which machine had the lease last, and whether it has it now. Raises StoreAway, StoreRefused."""
        return self._lease.holder()

    def drain_lock(self) -> Lock | None:
        return self._lease.take_in()

    def is_taken_in(self) -> bool:
        return self._lease.is_taken_in()

    # -- states ---------------------------------------------------------------------------

    def _states(self, name: str) -> Sequence:
        return Sequence(self._store, layout.states_prefix(name), self.clock)

    def claim_state(self, batch: Batch, state: State, seconds: float) -> int:
        number, found = batch.number + 1, self._states(self._names[batch.id])
        try:
            if state.name == states.COMMIT:
                self._attempts.commit(found, number, batch.id, state, seconds)
                self._uploads.add(batch.id)
            elif batch.id in self._uploads:
                self._uploads.remove(batch.id)
                number = self._attempts.outcome(found, number, batch.id, state)
            else:
                if state.name == states.WITHDRAWN:
                    self._mark_withdrawn(batch)
                rest = self._rests.pop(batch.id, "") if state.name == states.ERASED else ""
                self._attempts.claim(found, number, batch.id, state, rest=rest)
        except Overtaken:
            self._read.pop(batch.id, None)
            raise
        self._lease.renew()
        return number

    def _mark_withdrawn(self, batch: Batch) -> None:
        """Let runs with rows of the batch's dates look at its state."""
        rows = rowkeys.unpack(rowkeys.unseal(self.keyring, self.disk.read(f"{batch.path}/rowkeys")))
        for day in sorted({row.day for row in rows}):
            self._store.create(
                layout.withdrawn_key(layout.date_text(day), self._names[batch.id]), b"withdrawn"
            )

    def upload_ended(self, batch: Batch) -> float:
        newest = self._read.get(batch.id)
        return newest.until + attempts.MARGIN if newest is not None else 0.0

    # -- batches --------------------------------------------------------------------------

    def _list(self, folder: str) -> dict[str, list[str]]:
        """The names of the batches in ``ready``, ``quarantine`` or ``done``, by id, the oldest first."""
        prefix = _PREFIXES[folder]
        if folder == "ready":
            names = self._open()
        else:
            names = {key[len(prefix) :].partition("/")[0] for key in self._store.keys(prefix)}
        if folder == "done":
            names -= self._open()
        found: dict[str, list[str]] = {}
        for name in filter(layout.NAME.fullmatch, sorted(names)):
            found.setdefault(layout.id_of(name), []).append(name)
        self._listings[folder] = found
        return found

    def _open(self) -> set[str]:
        """The batches without a receipt."""
        keys = [key for key in self._store.keys("open/") if layout.is_open_key(key)]
        new = [key for key in keys if key not in self._markers]
        read = dict(zip(new, self._at_once.each(self._store.get, new)))
        known = {key: self._markers[key] for key in keys if key in self._markers}
        found = {key: records.decode(value, key) for key, value in read.items() if value is not None}
        self._markers = {**known, **found}  # what is missing was deleted meanwhile
        self._marked = {
            name: marker for key, marker in self._markers.items() for name in layout.marked(key, marker)
        }
        return self._marked.keys() - self._ended

    def _replace_markers(self) -> None:
        """Replace those that name ended batches. Of both, which a crash leaves, the new one stays."""
        found = set(self._ended)
        markers = ((key, layout.marked(key, marker), marker) for key, marker in self._markers.items())
        for key, names, marker in sorted(markers, key=lambda one: len(one[1])):
            left = [name for name in names if name not in found]
            found.update(left)
            if left and len(left) < len(names):
                new = layout.open_key(left[0], secrets.token_hex(4))
                rest = {name: value for name, value in marker.items() if name not in ("v", "nonce")}
                claim(self._store, new, records.encode(**{**rest, "batches": left}), self.clock)
            if len(left) < len(names):
                self._at_once.later(self._store.delete, key)
                del self._markers[key]

    def _ids(self, folder: str) -> list[str]:
        if folder == "ready":
            quarantined = self._list("quarantine") if self._list("ready") else {}
            return [name for name in self._listings["ready"] if name not in quarantined]
        if folder == "quarantine":
            return list(self._list("quarantine"))
        return [name for name in self._list("done") if name.startswith(folder[-2:])]

    def _shards(self) -> Iterator[str]:
        return (f"done/{start}" for start in sorted({name[:2] for name in self._list("done")}))

    def done(self) -> Iterator[Batch]:
        found = iter(self._list("done"))
        while chunk := list(islice(found, _CHUNK)):
            self._fetch(chunk, "done")
            for name in chunk:
                batch = self.load(name, f"done/{name[:2]}")
                if batch.state is not None:
                    yield batch

    def ids(self) -> Iterator[str]:
        yield from {**self._list("ready"), **self._list("done")}

    def ready_by_age(self) -> list[str]:
        return [] if self._idle else self._ids("ready")

    def sync_ready(self) -> None:
        """Nothing: what the store shows is durable."""

    def _load_all(self, folder: str, names: Iterable[str] | None = None) -> Iterator[Batch]:
        wanted = iter(self._ids(folder) if names is None else names)
        while chunk := list(islice(wanted, _CHUNK)):
            self._fetch(chunk, folder.partition("/")[0])
            yield from super()._load_all(folder, chunk)

    def folder_of(self, name: str) -> str | None:
        for folder in () if name in self._read else _PREFIXES:
            if name in self._list(folder):
                self._fetch([name], folder)
            if name in self._read:
                break
        return super().folder_of(name)

    def _fetch(self, ids: Iterable[str], folder: str) -> None:
        """Copy the states of batches, unless that was done since the last lock was taken.

        One that is not accepted is not copied.
        """
        listed = self._listings.get(folder, {})
        names = [name for one in ids if one not in self._read for name in listed.get(one, ())]
        read = self._newest_of_done if folder == "done" else self._newest
        newest = dict(zip(names, self._at_once.each(read, names)))
        # A run wrote the first state, which counts only if the run was accepted.
        new = [name for name in names if not _was_touched(newest[name])]
        # Without a marker, it is what is left of one, or a half that is not complete yet.
        unaccepted = set(new) - (self._accepted(new) if folder != "done" else set())
        for name in names:
            if name not in unaccepted:
                self._copy(name, newest[name], folder)

    def _newest_of_done(self, name: str) -> Newest | None:
        return attempts.newest_of(self._states(name))

    def _newest(self, name: str) -> Newest | None:
        """The newest state of a batch that probably was not touched yet: two reads cost less than a list."""
        found = self._states(name)
        if found.get(1) is not None:
            return attempts.newest_of(found)
        first = None if (self._marker(name) or {}).get("ready") else found.get(0)
        return Newest(0, records.decode(first)) if first is not None else None

    def _copy(self, name: str, newest: Newest | None, folder: str) -> None:
        """Copy the state of a batch, in place of an earlier one of the same id."""
        batch = layout.id_of(name)
        for other in ("ready", "quarantine", f"done/{batch[:2]}"):
            self._memory.remove_tree(f"{self.path}/{other}/{batch}")
        path = f"{self.path}/{folder}/{batch[:2] + '/' if folder == 'done' else ''}{batch}"
        self._memory.make_dirs(path)
        self._memory.create(f"{path}/state", state_content(name, newest))
        self._names[batch], self._read[batch] = name, newest

    def _accepted(self, names: list[str]) -> set[str]:
        """Which of these batches, none of which any sender has touched, a run was accepted with."""
        halves: set[str] = set()
        # The marker of the oldest one says where to read the log, which mostly has the others too.
        for count in (1, None):
            unknown = [name for name in names if name not in self._committed and name not in halves][:count]
            markers = [marker or {} for marker in self._at_once.each(self._marker, unknown)]
            halves.update(name for name, marker in zip(unknown, markers) if self._is_part(name, marker))
            self._read_log([int(marker["after"]) for marker in markers if "after" in marker])
        return halves | self._committed.intersection(names)

    def _is_part(self, name: str, marker: Mapping[str, Any]) -> bool:
        """Whether a batch came into being when another one was split, or some of its rows were erased."""
        if "rest_of" not in marker:
            return "half_of" in marker
        whole = attempts.newest_of(self._states(marker["rest_of"]))
        return whole is not None and whole.record.get("rest") == name

    def _read_log(self, starts: list[int]) -> None:
        """Note which batches were accepted behind the lowest of these numbers of the log."""
        if starts:
            if min(starts) < self._log_after or self._log_last < 0:
                self._log_after = self._log_last = min(starts)
            for entry in self._log.entries(self._log_last):
                self._committed.update(entry.batches)
                self._log_last = entry.number

    def _marker(self, name: str) -> Mapping[str, Any] | None:
        return self._marked.get(name)

    # -- changes of batches ---------------------------------------------------------------

    def publish(self, name: str, path: str) -> None:
        """Write the half of a batch: the marker last. Any sender gives it the same name."""
        whole = self._names[
            str(sealed.decode(self._memory.read(f"{path}/manifest.json"))["profile"]["split_from"])
        ]
        half = self._write(name, path, whole)
        self._mark(half, half_of=whole)
        self._read[name] = None

    def _mark(self, name: str, **why: str) -> None:
        """Create the marker of a part of a batch."""
        key, value = layout.open_key(name), records.encode(run="", **why)
        self._store.create(key, value)
        self._markers[key] = records.decode(value)

    def prepare(self, batch: Batch, name: str, path: str) -> None:
        """Write the rest of a batch: the marker first. It counts once the batch is ERASED in its favour."""
        whole = self._names[batch.id]
        rest = _part_of(whole, name)
        self._mark(rest, rest_of=whole)
        self._write(name, path, whole)
        if batch.state is not None and batch.state.name != states.READY:
            first = f"{layout.states_prefix(rest)}{0:0{DIGITS}}"
            self._store.create(first, records.encode(**batch.state.as_record(name)))
        self._rests[batch.id] = rest

    def _write(self, name: str, path: str, whole: str) -> str:
        """Write the files of a part of a batch, and return its name. Another process may write the same."""
        self._names[name] = part = _part_of(whole, name)
        keys, manifest = layout.part_key(part, layout.ALL_ROWKEYS), self._memory.read(f"{path}/manifest.json")
        if not self._store.create(keys, self._memory.read(f"{path}/rowkeys")):
            # The same records, encrypted with another nonce.
            check = hashlib.sha256(self._get(keys)).hexdigest()
            found = replace(manifests.decode(manifest, name, self.keyring), rowkeys_sha256=check)
            manifest = manifests.encode(found, self.keyring)
        values = {"manifest": manifest, **layout.payload_parts(self._memory.read(f"{path}/payload"))}
        self._at_once.each(lambda key: self._store.create(layout.part_key(part, key), values[key]), values)
        return part

    def moved(self, name: str, folder: str) -> None:
        """Keep the markers as the folders are. One that ended keeps its states."""
        full = self._names[name]
        if folder == "quarantine":
            self._store.create(f"quarantine/{full}", records.encode())
            return
        if name in self._listings.get("quarantine", {}):
            self._store.delete(f"quarantine/{full}")
        if folder == "done":
            self._ended.add(full)  # its marker is replaced when the lease is returned

    def forget(self, name: str) -> None:
        """Remove all records of a batch; its states last: without them, a frozen sender would begin anew."""
        full = self._names[name]
        for prefix in (f"batch/{full}/", layout.states_prefix(full)):
            for key in list(self._store.keys(prefix)):
                self._store.delete(key)
        del self._names[name]

    def forget_rowkeys(self, moment: float) -> None:
        self._log.forget_rowkeys(moment)

    def discard_runs(self, moment: float) -> None:
        # Those of live runs may be among them: their log refuses them then, and they start anew.
        names = [one for found in self._list("ready").values() for one in found]
        names = [name for name in names if layout.written_at(name) < moment]
        newest = zip(names, self._at_once.each(self._newest, names))
        new = [name for name, state in newest if state is None or state.number == 0]
        accepted = self._accepted(new)
        left = [name for name in new if name not in accepted]
        found = dict(zip(left, self._at_once.each(self._marker, left)))
        for run in sorted({str(marker["run"]) for marker in found.values() if marker is not None} - {""}):
            self._log.discard(run)
        # What an erasure that was killed has prepared, once the batch has ended otherwise.
        for name, marker in found.items():
            whole = (
                attempts.newest_of(self._states(marker["rest_of"]))
                if marker and "rest_of" in marker
                else None
            )
            if whole is not None and whole.record["name"] in states.ENDED:
                self._log.remove([name])

    def expect(self, batch: Batch) -> None:
        """Begin to read a batch that is sent next."""
        for file in ("manifest.json", "payload"):
            begun = self._at_once.ahead(partial(self._read_part, batch.id), file)
            if begun is not None:
                self._ahead[batch.id, file] = begun

    def read_part(self, name: str, file: str) -> bytes | None:
        """A file of a batch that is not in memory; None if there is none."""
        begun = self._ahead.pop((name, file), None)
        return begun.result() if begun is not None else self._read_part(name, file)

    def _read_part(self, name: str, file: str) -> bytes | None:
        full = self._names.get(name, "")
        return self.read_named(full, file) if full else None

    def read_named(self, full: str, file: str) -> bytes | None:
        """A file of the batch that has this name on the store; None if there is none."""
        if file == "manifest.json":
            return self._store.get(layout.part_key(full, "manifest"))
        if file == "rowkeys":
            whole = self._store.get(layout.part_key(full, layout.ALL_ROWKEYS))
            keys = [] if whole else list(self._store.keys(layout.part_key(full, "rowkeys/")))
            return whole or b"".join(self._at_once.each(self._get, keys))
        found = self._store.get(layout.part_key(full, "payload"))
        number, more = 1, found
        while found is not None and more is not None and len(more) == layout.PART_BYTES:
            more = self._store.get(layout.part_key(full, f"payload.{number}"))
            found, number = found + (more or b""), number + 1
        return found

    def has_payload(self, name: str) -> bool:
        full = self._names.get(name, "")
        return bool(full) and layout.part_key(full, "payload") in self._store.keys(f"batch/{full}/")

    def delete_payload(self, name: str) -> None:
        full = self._names[name]
        prefix = layout.part_key(full, "payload")
        for key in [key for key in self._store.keys(f"batch/{full}/") if key.startswith(prefix)]:
            self._store.delete(key)


def _was_touched(newest: Newest | None) -> bool:
    """Whether a sender or a person has written this state, or the batch had ended before it came there."""
    return newest is not None and (newest.number > 0 or newest.record.get("name") in states.ENDED)


class _Disk(MemoryDisk):
    """Memory, and behind it the files of batches and the audit log on the store."""

    def __init__(self, host: str, replica: Replica) -> None:
        super().__init__(host)
        self._replica = replica

    def read(self, path: str) -> bytes:
        try:
            return super().read(path)
        except FileNotFoundError:
            match = _FILE.fullmatch(path)
            data = self._replica.read_part(match[1], match[2]) if match else None
            if data is None:
                raise
            return data

    def exists(self, path: str) -> bool:
        if super().exists(path):
            return True
        if path == f"{self._replica.path}/{AUDIT_LOG}":
            self._replica.read_events()
            return super().exists(path)
        match = _FILE.fullmatch(path)
        if match is None or not super().exists(path.rpartition("/")[0]):
            return False
        return match[2] != "payload" or self._replica.has_payload(match[1])

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            super().remove(path)
        match = _FILE.fullmatch(path)
        if match is not None and match[2] == "payload":
            self._replica.delete_payload(match[1])


def _part_of(whole: str, name: str) -> str:
    """The name of a part of a batch, of the id ``name``: the same in each process, and in the same place."""
    digest = hashlib.sha256(f"{whole} {name}".encode("ascii"))
    return f"{whole.partition('-')[0]}-{digest.hexdigest()[:16]}-{name}"


def state_content(name: str, newest: Newest | None) -> bytes:
    """The content of the state file of the batch with this name."""
    if newest is not None:
        return _one_record(newest.record, newest.number)
    at = int(name.partition("-")[0], 16)
    return state_file.new_file(State(states.READY, at / 1e6, at * 1000).as_record(layout.id_of(name)))


def _one_record(record: Mapping[str, Any], number: int) -> bytes:
    """The content of a state file with one record."""
    fields = {
        name: value for name, value in record.items() if name not in ("v", "nonce", "by", "until", "rest")
    }
    content = bytearray(state_file.reserved_file())
    start = number % state_file.RECORD_COUNT * state_file.RECORD_BYTES
    content[start : start + state_file.RECORD_BYTES] = state_file.encode(fields, number)
    return bytes(content)


def _number_of(line: bytes) -> int:
    """The number of a line of the audit log; 0 if it is none."""
    found = audit_chain.decode(line)
    return int(found.event["n"]) if found else 0
