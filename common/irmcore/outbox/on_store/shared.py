"""An outbox that machines share: its identity, its key and its files on a store, and the log of its runs.

A file is a sequence of numbered values, of which the newest counts. Whoever creates the outbox second finds
the first one's key and identity.
"""

from __future__ import annotations

import secrets

from irmcore.clock import Clock
from irmcore.errors import KeyMissing, OperatorError, UnknownFormat
from irmcore.outbox import audit_chain
from irmcore.outbox import identity as identities
from irmcore.outbox import keyring as key_file
from irmcore.outbox.identity import Identity
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.on_store import layout, records
from irmcore.outbox.on_store.commit_log import CommitLog, taken_back
from irmcore.store import Store, claim
from irmcore.store.at_once import AtOnce
from irmcore.store.numbered import Sequence

#: The files of an outbox on a store.
KEY, IDENTITY, SETTINGS = "key", "outbox.json", "connector.json"
#: Which outbox is being moved there. It has a key, and gets its identity at the end.
MOVING = "moving"


class SharedOutbox:
    """One connector's outbox on a store. Methods raise StoreAway and StoreRefused.

    ``where`` is its address, for messages. ``at_once``: requests at a time. ``adoptable``: if it was restored
    in place, a person can adopt it, so nothing is promoted before. ``rolls_back``: the store may take back
    what it acknowledged, so a promotion reads that back before it marks its batches.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        where: str,
        *,
        at_once: int = 1,
        adoptable: bool = True,
        rolls_back: bool = False,
    ) -> None:
        self.store, self.clock, self.where, self.adoptable = store, clock, where, adoptable
        self.rolls_back = rolls_back
        check = self._check_key if rolls_back else None
        self.log = CommitLog(store, clock, AtOnce(at_once), check_key=check)
        self._keyring: Keyring | None = None
        #: How often a person has adopted it, and 1; known once ``create`` has returned.
        self.epoch = 0

    @property
    def name(self) -> str:
        """Its name, as commands take it."""
        return self.where.rsplit("/", 1)[1]

    def create(self) -> None:
        """Create its key and its identity, unless it exists.

        Raises OperatorError if it is retired or still being moved here, KeyMissing, UnknownFormat.
        """
        if self.rolls_back:
            self._keyring = None  # another process may have made it anew
        is_new = self.read_file(IDENTITY) is None
        if is_new and self.read_file(KEY) is None:
            ring = Keyring.new(secrets.token_hex(16))
            self._files(KEY).append(-1, key_file.encode(ring))
        ring = self.keyring
        if is_new:
            self._refuse_moving(ring)
            made = Identity(ring.outbox, 1, layout.host_of(self.where), "", None, self.clock.now())
            self._files(IDENTITY).append(-1, identities.encode(made))
            if self.rolls_back:
                self._check_key()  # an identity without its key could never be used, nor be made anew
            created = {"at": made.created, "event": "created", "outbox": made.id}
            claim(self.store, layout.event_key(1), audit_chain.content(ring, [created]), self.clock)
        identity = self.identity()
        if identity is None and self.read_file(IDENTITY) is not None:
            raise UnknownFormat(
                "the identity of this outbox is damaged, or of a later version of irmexport",
                where=f"{self.where}/{layout.file_prefix(IDENTITY)}",
                next_step="Nothing was changed. Install the version of the other machines, or restore this "
                "prefix from the store's backup or its soft-deleted blobs.",
            )
        if identity is not None:
            self.epoch = identity.epoch
        if identity is not None and identity.retired:
            raise OperatorError(
                "this outbox is retired, so it accepts and sends nothing",
                where=self.where,
                next_step="Use the outbox that replaced it.",
            )

    def _refuse_moving(self, ring: Keyring) -> None:
        note = self.read_file(MOVING)
        if note is not None and records.decode(note)["outbox"] == ring.outbox and self.identity() is None:
            raise OperatorError(
                "an outbox is being moved to this address, so nothing is accepted here yet",
                where=self.where,
                next_step="Wait until the move has ended; if it failed, run its `irmexport outbox "
                "move CONNECTOR ADDRESS --why REASON` again.",
            )

    @property
    def keyring(self) -> Keyring:
        """Its key, read once. Raises KeyMissing."""
        if self._keyring is None:
            try:
                self._keyring = key_file.decode(self.read_file(KEY) or b"")
            except ValueError:
                raise KeyMissing(
                    "the key of this outbox is missing or damaged, so nothing is accepted or sent",
                    where=f"{self.where}/{layout.file_prefix(KEY)}",
                    next_step="Restore this prefix of the store from its backup or its soft-deleted blobs.",
                ) from None
        return self._keyring

    def _check_key(self) -> None:
        """Put the key back if the store has none any more. Raises StoreAway if it has another one."""
        ring = self.keyring
        if not self._files(KEY).append(-1, key_file.encode(ring)):
            self._keyring = None
            if self.keyring.generations[: ring.newest] != ring.generations:  # nor was it rotated
                raise taken_back(f"{self.where}/{layout.file_prefix(KEY)}")

    def identity(self) -> Identity | None:
        """Which outbox this is; None if that is missing or damaged."""
        try:
            return identities.decode(self.read_file(IDENTITY) or b"")
        except ValueError:
            return None

    def read_file(self, name: str) -> bytes | None:
        """The newest content of a file, None if there is none."""
        newest = self._files(name).newest()
        return newest.value if newest else None

    def replace_file(self, name: str, data: bytes) -> None:
        """Make ``data`` the newest content of a file."""
        while True:
            newest = self._files(name).newest()
            if newest is not None and newest.value == data:
                return
            if self._files(name).append(newest.number if newest else -1, data):
                self._files(name).prune()
                return

    def _files(self, name: str) -> Sequence:
        return Sequence(self.store, layout.file_prefix(name), self.clock)


def register(root: Store, name: str, clock: Clock) -> None:
    """Add a connector to the list of those under an address. Raises StoreAway, StoreRefused."""
    claim(root, layout.connector_key(name), name.encode("ascii"), clock)


def registered(root: Store) -> list[str]:
    """The connectors under an address, by name. Raises StoreAway, StoreRefused."""
    prefix = layout.connector_key("")
    return [key[len(prefix) :] for key in root.keys(prefix)]
