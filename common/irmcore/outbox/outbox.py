"""A connector's outbox directory: create it, lock it, and find the batches in it.

Finding never changes anything and never stops at a batch that cannot be read. Batches may move
from folder to folder while they are listed; each is found at least once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from irmcore.clock import Clock
from irmcore.disk import Disk, Lock
from irmcore.errors import KeyMissing, OperatorError, OutboxBusy
from irmcore.outbox import audit_chain, formats, guard, staging_directory, state_file
from irmcore.outbox import batch as batches
from irmcore.outbox import identity as identity_file
from irmcore.outbox import keyring as key_file
from irmcore.outbox.batch import Batch
from irmcore.outbox.identity import Identity
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.states import State

_ID = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")
_PREFIX = re.compile(r"[0-9a-f]{4,64}")
#: Directory of everything that is staged and not accepted.
TMP = "tmp"
_DIRECTORIES = (TMP, "ready", "done", "quarantine", "rejects")
#: The state file of the circuit breaker. Its space is reserved, so that a full disk cannot stop the sender.
BREAKER_FILE = "breaker"
#: The key and its copy, either of which restores the other.
KEY_FILES = ("key", "key.copy")
#: Which outbox this is, and where it was made.
IDENTITY_FILE = "outbox.json"
#: What happened to the connector (see ``audit_log``), and the lock of who appends to it.
AUDIT_LOG, AUDIT_LOCK = "audit.log", "audit.lock"
#: How long row keys are kept, unless the profile or the place says.
ROWKEYS_DAYS = 400
#: Seconds that a process waits for another one to create the same outbox.
_CREATION_TIMEOUT = 60.0


class Outbox:
    """The directory of one connector.

    ``done_synced`` says whether this process has synced ``done/`` (see ``transitions.move_to_done``).

    A *replica* (``irmcore.outbox.on_store.replica``) is the copy that a process has of an outbox on a store.
    It overrides the methods under "what others may change too": a directory needs nothing there, as its
    locks keep other processes away.
    """

    #: Whether the rows that were accepted are indexed here, in the row ledger.
    has_ledger = True
    rowkeys_days = ROWKEYS_DAYS

    def __init__(self, disk: Disk, clock: Clock, path: str) -> None:
        self.disk = disk
        self.clock = clock
        self.path = path
        self.done_synced = False
        self._keyring: Keyring | None = None

    # -- the directory ------------------------------------------------------------------

    @property
    def tmp(self) -> str:
        """The path of the directory that holds the staging directories."""
        return f"{self.path}/{TMP}"

    @property
    def name(self) -> str:
        """The name of the directory, as commands take it."""
        return self.path.rsplit("/", 1)[1]

    def exists(self) -> bool:
        """Whether the outbox was created. One that holds anything was, even if ``FORMAT`` is gone."""
        return self.disk.exists(f"{self.path}/{formats.FILE}") or self._holds_anything()

    def _holds_anything(self) -> bool:
        """Also if a folder cannot be read: its use reports the error, and a list of outboxes goes on."""
        folders = ("ready", "quarantine", "done", "rejects")
        try:
            return any(self.disk.names(f"{self.path}/{folder}") for folder in folders)
        except OSError:
            return True

    def create(self) -> None:
        """Create what is missing of the directory, or check the one that exists as ``check`` does.

        Raises OutboxBusy while another process creates it.
        """
        end = self.clock.monotonic() + _CREATION_TIMEOUT
        while not self.exists():
            if self._try_to_create():
                return
            if self.clock.monotonic() >= end:
                raise OutboxBusy(
                    "another process is creating this outbox",
                    where=self.path,
                    next_step="Nothing was accepted. Run this again when the other process has finished.",
                )
            self.clock.sleep(0.05)
        self.check()
        self.disk.sync_dir(self.path)  # the process that created it may have died before its own sync

    def _try_to_create(self) -> bool:
        """Create the directory, unless another process holds the intake lock."""
        parent = self.path.rsplit("/", 1)[0]
        guard.refuse_network(self.disk.place(parent).file_system, self.path)
        self._make_dir(self.path)
        self.disk.sync_dir(parent)
        lock = self.intake_lock()
        if lock is None:
            return False
        try:
            if not self.exists():
                self._create()
            return True
        finally:
            lock.release()

    def _create(self) -> None:
        for name in _DIRECTORIES:
            self._make_dir(f"{self.path}/{name}")
        # Create the lock files now, so that a sender also works on a full disk.
        locks = ("sender.lock", "drain.lock", AUDIT_LOCK)
        for lock in [self.disk.try_lock(f"{self.path}/{name}") for name in locks]:
            if lock is not None:
                lock.release()
        # Two staging directories: one for a run, one for a split, a removal or a clean-up meanwhile.
        for staging in [staging_directory.acquire(self.disk, self.tmp) for _ in range(2)]:
            staging.close()
        # replace_file syncs the directory: once FORMAT is there, so is everything above.
        self.replace_file(BREAKER_FILE, state_file.reserved_file())
        made = Identity.new(self.disk.place(self.path), self.clock.now())
        ring = Keyring.new(made.id)
        self.save_keyring(ring)
        created = {"at": made.created, "event": "created", "outbox": made.id}
        self.replace_file(AUDIT_LOG, audit_chain.content(ring, [created]))
        self.save_identity(made)
        self.replace_file(formats.FILE, formats.LINE)

    # -- what it is, and whether it may be used here --------------------------------------

    def check_format(self) -> Identity:
        """What ``outbox.json`` says, if this version wrote the directory. Changes nothing.

        Raises UnknownFormat, DamageError.
        """
        return formats.check(self.read_file(formats.FILE), self.identity(), self.path)

    def check(self) -> None:
        """Check that rows may be accepted and sent here: format, machine, directory and key. Changes nothing.

        Raises UnknownFormat, DamageError, PlaceRefused, KeyMissing, OSError.
        """
        self.check_format()
        self.check_place()
        self.load_keyring()

    def checked(self, lock: Lock) -> Lock:
        """``lock``, the sender's or intake lock, after ``check`` under it; it is released on an error.

        While this process waited for the lock, the key may have been rotated or the outbox retired, which
        takes both locks. A damaged copy of the key is restored from the other. Raises as ``check``.
        """
        try:
            self.check()
            if any(found != self.keyring for found in self.keyrings().values()):
                with suppress(OSError):  # one copy is enough
                    self.save_keyring(self.keyring)
        except BaseException:
            lock.release()
            raise
        return lock

    def check_place(self) -> None:
        """Raises PlaceRefused if this is a copy, was retired, or is on a network file system."""
        guard.check(self.identity(), self.disk.place(self.path), self.path)

    def identity(self) -> Identity | None:
        """What ``outbox.json`` says; None if it is missing or damaged."""
        try:
            return identity_file.decode(self.read_file(IDENTITY_FILE) or b"")
        except ValueError:
            return None

    def save_identity(self, changed: Identity) -> None:
        """Replace ``outbox.json`` durably."""
        self.replace_file(IDENTITY_FILE, identity_file.encode(changed))

    @property
    def keyring(self) -> Keyring:
        """The secrets of this outbox, read once. Raises KeyMissing."""
        return self._keyring or self.load_keyring()

    def load_keyring(self) -> Keyring:
        """The secrets of this outbox as they are on disk. Raises KeyMissing."""
        found, known = self.keyrings(), self.identity()
        good = [ring for ring in found.values() if ring and (known is None or ring.outbox == known.id)]
        if not good:
            raise KeyMissing(
                "the key of this outbox is missing or damaged, so nothing is accepted or sent",
                where=f"{self.path}/{KEY_FILES[0]}",
                next_step=f"Restore it from its backup: `irmexport outbox key restore {self.name} FILE`. "
                f"`irmexport outbox export {self.name}` writes the queued rows without it.",
            )
        # A rotation replaces one copy first.
        self._keyring = max(good, key=lambda ring: ring.newest)
        return self._keyring

    def keyrings(self) -> dict[str, Keyring | None]:
        """Each copy of the key; None for one that is missing or damaged, or that the disk cannot read.

        Raises OSError if that leaves none.
        """
        found: dict[str, Keyring | None] = dict.fromkeys(KEY_FILES)
        fault: OSError | None = None
        for name in KEY_FILES:
            try:
                found[name] = key_file.decode(self.read_file(name) or b"")
            except ValueError:
                continue
            except OSError as error:
                fault = error
        if fault is not None and not any(found.values()):
            raise fault
        return found

    def save_keyring(self, changed: Keyring) -> None:
        """Replace both copies of the key durably, one after the other."""
        for name in KEY_FILES:
            self.replace_file(name, key_file.encode(changed))
        self._keyring = changed

    def _make_dir(self, path: str) -> None:
        try:
            self.disk.make_dir(path)
        except FileExistsError:
            return

    def sender_lock(self, *, takes_in: bool = False) -> Lock | None:
        """The lock of the connector's one sender, or None if another process holds it.

        ``takes_in``: its holder takes ``drain_lock`` next, which a store can be told at the same time.
        """
        return self.disk.try_lock(f"{self.path}/sender.lock")

    def drain_lock(self) -> Lock | None:
        """The lock of a sender that takes in what is accepted meanwhile, or None if somebody looks at it."""
        return self.disk.try_lock(f"{self.path}/drain.lock")

    def is_taken_in(self) -> bool:
        """Whether a sender is at work and takes in what is accepted meanwhile: it holds ``drain_lock``."""
        lock = self.disk.try_lock(f"{self.path}/drain.lock", shared=True)
        if lock is not None:
            lock.release()
        return lock is None

    def intake_lock(self) -> Lock | None:
        """The lock for accepting rows, or None if another process holds it."""
        return self.disk.try_lock(f"{self.path}/intake.lock")

    def replace_file(self, name: str, data: bytes) -> None:
        """Replace the file ``name``, a path in the outbox, atomically and durably. Raises OSError."""
        path = f"{self.path}/{name}"
        folder, file = path.rsplit("/", 1)
        # Two processes may replace the same file at once, and one that dies must leave nothing for good.
        staging = staging_directory.acquire(self.disk, self.tmp)
        try:
            self.disk.create(f"{staging.path}/{file}", data, sync=True)
            self.disk.rename(f"{staging.path}/{file}", path)
            self.disk.sync_dir(folder)
        finally:
            staging.close()

    def read_file(self, name: str) -> bytes | None:
        """The content of the file ``name`` of the outbox, or None if there is none."""
        path = f"{self.path}/{name}"
        return self.disk.read(path) if self.disk.exists(path) else None

    def log_backwards(self) -> Iterator[bytes]:
        """The audit log in pieces of whole lines, the newest piece first."""
        yield self.read_file(AUDIT_LOG) or b""

    # -- what others may change too -------------------------------------------------------

    def claim_state(self, batch: Batch, state: State, seconds: float) -> int:
        """Claim the next state of a batch before it is written, and return its number.

        ``seconds``: with COMMIT, those after which the upload has ended. Raises Overtaken, StoreAway.
        """
        return batch.number + 1

    def claim_event(self, number: int, line: bytes) -> bool:
        """Claim a line of the audit log before it is appended; False if the log has grown meanwhile."""
        return True

    def claim_breaker(self, record: Mapping[str, Any]) -> None:
        """Claim the next record of the circuit breaker before it is written. Raises Overtaken, StoreAway."""

    def upload_ended(self, batch: Batch) -> float:
        """When the upload of a batch in COMMIT has certainly ended (seconds since 1970)."""
        return 0.0

    def expect(self, batch: Batch) -> None:
        """Begin to read what is sent next, where reading takes long."""

    def publish(self, name: str, path: str) -> None:
        """Let others see the batch that is prepared in ``path``, before it moves to ``ready/``."""

    def prepare(self, batch: Batch, name: str, path: str) -> None:
        """Write the batch in ``path``, which takes the place of another one once that is ERASED."""

    def moved(self, name: str, folder: str) -> None:
        """Let others see that a batch was moved to ``ready``, ``done`` or ``quarantine``."""

    def forget(self, name: str) -> None:
        """Remove what others have of a batch that is past its retention time."""

    def forget_rowkeys(self, moment: float) -> None:
        """Remove row keys of before ``moment``, where they do not go with their batches."""

    def discard_runs(self, moment: float) -> None:
        """Remove what runs wrote before ``moment`` and never had accepted, where no lock tells that."""

    def require_directory(self, what: str, next_step: str) -> None:
        """Raises OperatorError with ``next_step`` if ``what`` is not possible, as this is a replica."""

    def rolled_back(self) -> str:
        """What it lacks that this machine has seen at the same place, if it was restored there; or ""."""
        return ""

    # -- the batches in it --------------------------------------------------------------

    def ready(self) -> list[Batch]:
        """All batches in ``ready/``, oldest first. Names that irmexport did not write are skipped."""
        return self.load_ready(self._ids("ready"))

    def load_ready(self, names: Iterable[str]) -> list[Batch]:
        """The batches of these ids in ``ready/``, oldest first."""
        return sorted(
            self._load_all("ready", names),
            key=lambda batch: (batch.state.order if batch.state else 0, batch.id),
        )

    def ready_by_age(self) -> list[str]:
        """The ids in ``ready/``, oldest first as far as the file system tells, without reading a batch."""
        return [n for n in self.disk.names_by_age(f"{self.path}/ready") if _ID.fullmatch(n)]

    def count_ready(self) -> int:
        """How many batches are in ``ready/``, without reading them."""
        return len(self._ids("ready"))

    def quarantined(self) -> list[Batch]:
        return list(self._load_all("quarantine"))

    def done(self) -> Iterator[Batch]:
        for shard in self._shards():
            yield from self._load_all(shard)

    def all_batches(self) -> Iterator[Batch]:
        yield from self.ready()
        yield from self.quarantined()
        yield from self.done()

    def ids(self) -> Iterator[str]:
        """The id of every batch, each once, including those that a sender splits or moves meanwhile."""
        seen: set[str] = set()
        while True:
            found = len(seen)
            for folder in self._folders():
                new = [name for name in self._ids(folder) if name not in seen]
                seen.update(new)
                yield from new
            if len(seen) == found:
                return

    def _folders(self) -> Iterator[str]:
        """Where batches are, in the order in which they move. Lazy, so that each is listed when reached."""
        yield "ready"
        yield "quarantine"
        yield from self._shards()
        yield "ready"  # again: a batch may come back from quarantine/ meanwhile

    def _shards(self) -> Iterator[str]:
        for shard in self.disk.names(f"{self.path}/done"):
            if _SHARD.fullmatch(shard):
                yield f"done/{shard}"

    def _ids(self, folder: str) -> list[str]:
        return [n for n in self.disk.names(f"{self.path}/{folder}") if _ID.fullmatch(n)]

    def _load_all(self, folder: str, names: Iterable[str] | None = None) -> Iterator[Batch]:
        for name in self._ids(folder) if names is None else names:
            batch = self.load(name, folder)
            if batch.state is not None or self.disk.exists(batch.path):
                yield batch  # otherwise it moved after its name was read

    def load(self, name: str, folder: str) -> Batch:
        """The batch of this id in a folder such as ``ready`` or ``done/ab``, whether it exists or not."""
        return batches.load(self.disk, f"{self.path}/{folder}/{name}", folder.split("/", 1)[0])

    def folder_of(self, name: str) -> str | None:
        """The folder that holds the batch of this id, or None."""
        # ready/ twice: a batch may come back from quarantine/ while this looks elsewhere.
        for folder in ("ready", "quarantine", f"done/{name[:2]}", "ready"):
            if self.disk.exists(f"{self.path}/{folder}/{name}"):
                return folder
        return None

    def find(self, name: str) -> Batch | None:
        """The batch of this id as it is now, or None."""
        while (folder := self.folder_of(name)) is not None:
            found = self.load(name, folder)
            if found.state is not None or self.disk.exists(found.path):
                return found  # otherwise the sender moved it meanwhile: look again
        return None

    def get(self, name: str) -> Batch:
        """The batch of this id as it is now. Raises OperatorError if there is none."""
        found = self.find(name)
        if found is None:
            raise OperatorError(
                f"there is no batch {name[:12]}",
                where=self.path,
                next_step="Run `irmexport status` to list the batches.",
            )
        return found

    def match(self, prefix: str) -> list[str]:
        """The ids that begin with ``prefix`` (at least four hexadecimal digits)."""
        if not _PREFIX.fullmatch(prefix):
            return []
        folders = ("ready", "quarantine", f"done/{prefix[:2]}")
        found = {name for f in folders for name in self._ids(f) if name.startswith(prefix)}
        if not found and _ID.fullmatch(prefix):
            # A whole id from before the migration to format 4, or before a rotation of the key.
            with suppress(KeyMissing):  # also of another format, which has none
                ids = (self.keyring.keyed(prefix, after) for after in range(self.keyring.newest))
                found = {name for name in ids if self.folder_of(name)}
        return sorted(found)

    def sync_ready(self) -> None:
        """Make the names in ``ready/`` durable: a process may have died between its rename and its sync."""
        self.disk.sync_dir(f"{self.path}/ready")
