"""A connector's outbox directory: create it, lock it, and find the batches in it.

Finding never changes anything and never stops at a batch that cannot be read. Batches may move
from folder to folder while they are listed; each is found at least once.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator

from irmcore.clock import Clock
from irmcore.disk import Disk, Lock
from irmcore.errors import OperatorError, UnknownFormat
from irmcore.outbox import batch as batches
from irmcore.outbox import staging_directory, state_file
from irmcore.outbox.batch import Batch

_FORMAT = b"irmexport outbox 3\n"
_ID = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")
_PREFIX = re.compile(r"[0-9a-f]{4,64}")
#: Directory of everything that is staged and not accepted.
TMP = "tmp"
_DIRECTORIES = (TMP, "ready", "done", "quarantine", "runs", "rejects")
#: The state file of the circuit breaker. Its space is reserved, so that a full disk cannot stop the sender.
BREAKER_FILE = "gate"


class Outbox:
    """The directory of one connector.

    ``done_synced`` says whether this process has synced ``done/`` (see ``transitions.move_to_done``).
    """

    def __init__(self, disk: Disk, clock: Clock, path: str) -> None:
        self.disk = disk
        self.clock = clock
        self.path = path
        self.done_synced = False

    # -- the directory ------------------------------------------------------------------

    @property
    def tmp(self) -> str:
        """The path of the directory that holds the staging directories."""
        return f"{self.path}/{TMP}"

    def exists(self) -> bool:
        return self.disk.exists(f"{self.path}/FORMAT")

    def create(self) -> None:
        """Create what is missing of the directory. Raises UnknownFormat if a later version wrote it."""
        if self.exists():
            self.check_format()
            self.disk.sync_dir(self.path)  # the process that created it may have died before its own sync
            return
        parent = self.path.rsplit("/", 1)[0]
        self._make_dir(self.path)
        self.disk.sync_dir(parent)
        for name in _DIRECTORIES:
            self._make_dir(f"{self.path}/{name}")
        # Create the lock files now, so that a sender also works on a full disk.
        for lock in (self.sender_lock(), self.drain_lock(), self.intake_lock()):
            if lock is not None:
                lock.release()
        # Two staging directories: one for a run, one for a split, a removal or a clean-up meanwhile.
        for staging in [staging_directory.acquire(self.disk, self.tmp) for _ in range(2)]:
            staging.close()
        # replace_file syncs the directory: once FORMAT is there, so is everything above.
        self.replace_file(BREAKER_FILE, state_file.reserved_file())
        self.replace_file("FORMAT", _FORMAT)

    def check_format(self) -> None:
        """Raises UnknownFormat unless this version wrote the directory. Touches nothing."""
        if self.disk.read(f"{self.path}/FORMAT") != _FORMAT:
            raise UnknownFormat(
                "this version of irmexport does not know the format of this outbox",
                where=self.path,
                next_step="Use the irmexport version that wrote it, or a later one.",
            )

    def _make_dir(self, path: str) -> None:
        try:
            self.disk.make_dir(path)
        except FileExistsError:
            return

    def sender_lock(self) -> Lock | None:
        """The lock of the connector's one sender, or None if another process holds it."""
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
        """Replace the file ``name`` atomically and durably."""
        # A random name, as two processes may replace the same file at once.
        temporary = f"{self.tmp}/{name}-{secrets.token_hex(4)}.new"
        self.disk.create(temporary, data, sync=True)
        self.disk.rename(temporary, f"{self.path}/{name}")
        self.disk.sync_dir(self.path)

    def read_file(self, name: str) -> bytes | None:
        """The content of the file ``name`` of the outbox, or None if there is none."""
        path = f"{self.path}/{name}"
        return self.disk.read(path) if self.disk.exists(path) else None

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
        return sorted({name for f in folders for name in self._ids(f) if name.startswith(prefix)})

    def sync_ready(self) -> None:
        """Make the names in ``ready/`` durable: a process may have died between its rename and its sync."""
        self.disk.sync_dir(f"{self.path}/ready")
