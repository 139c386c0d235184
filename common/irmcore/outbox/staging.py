"""Stage the batches of a run, then accept all of them or none.

Order, which MUST hold: every file of every batch is on disk and synced (``prepare``) before the first
batch is renamed into ``ready/`` (``accept``); ``ready/`` is synced before ``accept`` returns.
Until then a crash leaves files under ``tmp/`` only, and the next run deletes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Callable

from irmcore import __version__
from irmcore.counts import Counts
from irmcore.errors import OutboxFull
from irmcore.outbox import manifest as manifests
from irmcore.outbox import rowkeys, staging_directory, state_file, states
from irmcore.outbox.manifest import Destination, Manifest, Origin
from irmcore.outbox.outbox import Outbox
from irmcore.outbox.states import State
from irmcore.outbox.transitions import is_withdrawn, move_to_done

#: The most batches that may be in ready/; beyond that new work is refused.
MAX_QUEUED = 200_000
#: Bytes that stay free on the disk after new work is accepted, for states and receipts.
MIN_FREE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Draft:
    """A batch before it is accepted: an opaque payload, how many rows it has, and their row keys.

    ``rowkeys`` makes the records of ``rowkeys`` from the bytes of the batch id, or gives None for a half of a
    batch whose own are damaged.
    """

    payload: bytes
    content_type: str
    destination: Destination
    rows: int
    rowkeys: Callable[[bytes], bytes | None]


@dataclass(frozen=True)
class Run:
    """What the manifests of one run's batches have in common. ``accepted`` in seconds since 1970."""

    id: str
    accepted: float
    origin: Origin
    profile: Mapping[str, str]
    counts: Counts
    tool: str = f"irmexport {__version__}"


class Staging:
    """The batches of one run, in a staging directory of their own. A context manager.

    On leaving, whatever was not accepted is deleted.
    """

    def __init__(self, outbox: Outbox, *, renew: bool = True, first: str = states.READY) -> None:
        """``renew``: accept a batch again that was withdrawn. ``first``: the first state, READY or PROPOSED.

        Raises KeyMissing, OutboxFull if too many batches are queued, OSError.
        """
        queued = outbox.count_ready()
        if queued >= MAX_QUEUED:
            raise OutboxFull(
                f"{queued} batches are queued, which is the limit",
                where=outbox.path,
                next_step="Run `irmexport status` to see why they are not sent.",
            )
        self._renew = renew
        self._first = first
        self._keyring = outbox.keyring
        self._outbox = outbox
        self._disk = outbox.disk
        self._directory = staging_directory.acquire(outbox.disk, outbox.tmp)
        self._path = self._directory.path
        self._drafts: list[tuple[str, Draft, dict[str, Any]]] = []

    def __enter__(self) -> Staging:  # noqa: PYI034 - typing.Self is not in 3.9
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append_file(self, name: str, data: bytes) -> None:
        """Append to a file of the run that is not a batch (its reject file)."""
        self._disk.append(f"{self._path}/{name}", data)

    def save_file(self, name: str, target: str) -> str:
        """Move a file of the run to ``target`` in the outbox, durably, and return its path."""
        folder = target.rsplit("/", 1)[0]
        path = f"{self._outbox.path}/{target}"
        self._disk.sync(f"{self._path}/{name}")
        self._disk.rename(f"{self._path}/{name}", path)
        self._disk.sync_dir(f"{self._outbox.path}/{folder}")
        return path

    def add(self, draft: Draft) -> str:
        """Write a batch and return its id. It is neither accepted nor durable yet.

        Raises OutboxFull, OSError.
        """
        name = manifests.batch_id(self._keyring, draft.destination, draft.content_type, draft.payload)
        if self._disk.free_bytes(self._path) < MIN_FREE_BYTES + 2 * len(draft.payload):
            raise OutboxFull(
                "the disk is almost full",
                where=self._outbox.path,
                next_step="Free some space. Nothing of this run was accepted.",
            )
        path = f"{self._path}/{name}"
        self._disk.make_dir(path)
        self._disk.create(f"{path}/payload", draft.payload)
        records = draft.rowkeys(bytes.fromhex(name))
        keys = b"" if records is None else rowkeys.seal(self._keyring, records)
        self._disk.create(f"{path}/rowkeys", keys)
        small = replace(draft, payload=b"", rowkeys=lambda _: None)
        self._drafts.append((name, small, self._checksums(draft.payload, keys)))
        return name

    def _checksums(self, payload: bytes, keys: bytes) -> dict[str, Any]:
        return {
            "payload_check": self._keyring.keyed(hashlib.sha256(payload).hexdigest()),
            "payload_bytes": len(payload),
            "rowkeys_sha256": hashlib.sha256(keys).hexdigest(),
        }

    def ids(self) -> list[str]:
        return [name for name, _, _ in self._drafts]

    def prepare(self, run: Run) -> None:
        """Write manifests and states, and sync everything: one rename short of accepted. Raises OSError."""
        order = int(self._outbox.clock.now() * 1e9)
        for part, (name, draft, checksums) in enumerate(self._drafts):
            path = f"{self._path}/{name}"
            first = State(self._first, self._outbox.clock.now(), order + part)
            self._disk.create(f"{path}/state", state_file.new_file(first.as_record(name)))
            manifest = Manifest(
                id=name,
                destination=draft.destination,
                content_type=draft.content_type,
                rows=draft.rows,
                run=run.id,
                part=part + 1,
                parts=len(self._drafts),
                accepted=run.accepted,
                origin=run.origin,
                profile=run.profile,
                counts=run.counts,
                tool=run.tool,
                generation=self._keyring.newest,
                **checksums,
            )
            self._disk.create(f"{path}/manifest.json", manifests.encode(manifest, self._keyring))
        # After all files exist, so that their names and inodes are written only once.
        folders = [f"{self._path}/{name}" for name in self.ids()]
        files = ("payload", "rowkeys", "state", "manifest.json")
        self._disk.sync_all([f"{path}/{file}" for path in folders for file in files], folders)

    def accept(self) -> list[str]:
        """Rename all batches into ``ready/``, and return the ids of those that were not in the outbox.

        A batch that exists already is left as it is. One that was withdrawn is replaced by this one.
        Raises OSError.
        """
        ready = f"{self._outbox.path}/ready"
        accepted = []
        for name in self.ids():
            existing = self._outbox.find(name)
            if existing is not None:
                if not (self._renew and is_withdrawn(self._outbox, existing)):
                    continue
                if existing.folder != "done":
                    move_to_done(self._outbox, existing)
            self._outbox.publish(name, f"{self._path}/{name}")
            self._disk.rename(f"{self._path}/{name}", f"{ready}/{name}")
            accepted.append(name)
        self._disk.sync_dir(ready)
        return accepted

    def set_aside(self, path: str) -> None:
        """Move the prepared batches into the directory ``path`` and accept none. Raises OSError."""
        for name in self.ids():
            self._disk.rename(f"{self._path}/{name}", f"{path}/{name}")

    def close(self) -> None:
        """Delete what is left of the run under ``tmp/``, or leave it to the next run's sweep."""
        try:
            self._directory.close()
        except OSError:
            return  # the outcome of the run stands; only garbage is left


def accept_run(
    outbox: Outbox,
    run: Run,
    drafts: Iterable[Draft],
    *,
    first: str = states.READY,
) -> list[str]:
    """Stage ``drafts`` and accept them, and return the ids of the batches that are new.

    ``first`` as in ``Staging``. Raises KeyMissing, OutboxFull, OSError.
    """
    with Staging(outbox, first=first) as staging:
        for draft in drafts:
            staging.add(draft)
        staging.prepare(run)
        return staging.accept()
