"""The connectors at an address that machines share, and what a machine has not moved there.

Beside such an address, each machine has a directory of its own: a run is accepted into it, and then promoted.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from irmcore.clock import Clock
from irmcore.delivery.recorder import Recorder
from irmcore.delivery.recovery import recover
from irmcore.delivery.report import Report, ignore_events
from irmcore.delivery.service import Splitter
from irmcore.disk import Disk, system_disk
from irmcore.intake.accepted_there import AcceptedThere
from irmcore.intake.promotion import (
    Promoted,
    create_there,
    promote,
    promote_history,
    result_there,
)
from irmcore.intake.run_result import RunResult
from irmcore.operations.connectors import Connectors
from irmcore.operations.operations import no_sender
from irmcore.operations.retention import periods_of
from irmcore.outbox import Outbox, promotion_note
from irmcore.outbox.on_store.replica import AT_ONCE, Replica
from irmcore.outbox.on_store.shared import SharedOutbox, register, registered
from irmcore.outbox.on_store.witness import Witness
from irmcore.outbox.outbox import ROWKEYS_DAYS
from irmcore.outbox.retention import DAY
from irmcore.store.prefixed import Prefixed
from irmcore.store.store import Store

#: Seconds that a row may lie back when a run has it. Row keys are kept for 35 days at least, so a run may
#: have waited for its promotion for the other 14.
LOOK_BACK = 21 * DAY


class Address:
    """An address with the outboxes of connectors."""

    def __init__(
        self,
        root: Store,
        text: str,
        clock: Clock,
        who: str = "",
        *,
        seen: tuple[Disk, str] | None = None,
        rolls_back: bool = False,
        rowkeys_days: int = ROWKEYS_DAYS,
    ) -> None:
        """``text`` is the address, for messages. ``who`` names this machine to the others.

        ``seen``: a disk that this machine keeps, and the directory there for what it has seen.
        ``rolls_back``: the store may take back what it acknowledged. ``rowkeys_days``: as in ``Replica``.
        """
        self._root, self.text, self.clock, self._who, self._seen = root, text, clock, who, seen
        self._rolls_back, self.rowkeys_days = rolls_back, rowkeys_days

    def shared(self, name: str) -> SharedOutbox:
        """The outbox of a connector, to promote into."""
        where = f"{self.text}/{name}"
        return SharedOutbox(
            Prefixed(self._root, name),
            self.clock,
            where,
            at_once=AT_ONCE,
            adoptable=self._seen is not None,
            rolls_back=self._rolls_back,
        )

    def replica(self, name: str) -> Replica:
        """The outbox of a connector, to send and to decide about."""
        where = f"{self.text}/{name}"
        witness = Witness(self._seen[0], f"{self._seen[1]}/{name}.json") if self._seen else None
        return Replica(
            Prefixed(self._root, name),
            self.clock,
            where,
            who=self._who,
            witness=witness,
            rolls_back=self._rolls_back,
            rowkeys_days=self.rowkeys_days,
        )

    def register(self, name: str) -> None:
        """Add a connector to the list. Raises StoreAway, StoreRefused."""
        register(self._root, name, self.clock)

    def names(self) -> list[str]:
        """The connectors. Raises StoreAway, StoreRefused."""
        return registered(self._root)


class SharedConnectors(Connectors):
    """The connectors at an address."""

    def __init__(self, address: Address) -> None:
        super().__init__(system_disk(), address.clock, address.text)
        self._address = address

    def outbox(self, name: str) -> Outbox:
        return self._address.replica(name)

    def outboxes(self) -> list[Outbox]:
        return [self.outbox(name) for name in self._address.names()]


def name_there(own: Outbox) -> str:
    """The name of an outbox at an address. Keys have no capitals, and a collector's table has some."""
    return own.name.lower()


class Promotion:
    """What one connector of this machine has accepted, on its way to an address."""

    def __init__(self, address: Address, own: Outbox) -> None:
        self._address, self.own = address, own
        self._shared = address.shared(name_there(own))
        own.rowkeys_days = address.rowkeys_days

    def accepted_there(self) -> AcceptedThere:
        """What a run is shaped with."""
        return AcceptedThere(self._shared)

    def run(self, done: RunResult, there: AcceptedThere) -> RunResult:
        """Promote the run ``done``, shaped with ``there``, and those before it. Raises as ``promote``."""
        self.create()
        found = promote(self.own, self._shared, run=done.run, there=there, late=self._late())
        own = next((one for one in found if one.run == done.run), None)
        if own is None:  # a drain beside this command has promoted it
            own = result_there(self.own, done.run)
        return done if own is None else result_of(done, own)

    def create(self) -> None:
        """Create the outbox there, unless it exists, and list it. Raises StoreAway, StoreRefused."""
        self._address.register(name_there(self.own))
        create_there(self.own, self._shared)

    def rest(self, splitters: Mapping[str, Splitter] | None = None) -> list[Promoted]:
        """Promote what earlier runs could not. Raises as ``promote``.

        ``splitters``: this machine may have sent from its directory when it did not share an outbox.
        """
        if not self.own.exists():
            return []
        if splitters is not None and not promotion_note.is_known_there(self.own):
            self._join(splitters)
        if not self.own.count_ready():
            return []
        self.create()  # the first run may have been killed before it
        return promote(self.own, self._shared, late=self._late())

    def _late(self) -> float:
        """Seconds after which others' row keys may be gone, if searches and files look back that far."""
        return periods_of(self.own).rowkeys - LOOK_BACK

    def _join(self, splitters: Mapping[str, Splitter]) -> None:
        """Bring what this machine was sending to rest, and let others know what it has sent."""
        with no_sender(self.own):
            recorder = Recorder(self.own, Report(), ignore_events)
            recover(self.own.ready_by_age(), recorder, splitters, random.random)
        self.create()
        promote_history(self.own, self._shared)


def result_of(done: RunResult, promoted: Promoted) -> RunResult:
    """The result of a run after its promotion."""
    refused = sum(promoted.refused.values())
    counts = replace(
        done.counts,
        shaped=done.counts.shaped - promoted.known - refused,
        skipped=done.counts.skipped + promoted.known,
        rejected=done.counts.rejected + refused,
    )
    reasons = dict(done.reasons)
    for code, rows in promoted.refused.items():
        reasons["", code] = reasons.get(("", code), 0) + rows
    rejects = ", ".join(filter(None, (done.rejects, promoted.rejects))) or None
    return replace(
        done,
        batches=promoted.batches,
        sizes=promoted.sizes,
        counts=counts,
        reasons=reasons,
        rejects=rejects,
        elsewhere=promoted.known,
    )
