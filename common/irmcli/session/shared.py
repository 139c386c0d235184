"""The connectors at an address that machines share, and what this machine has not moved there.

Beside such an address, each machine has a directory of its own (``Settings.outbox``): a run is accepted into
it, and then promoted. Where the host keeps no directory (a Function app), what was not promoted is lost, so a
run is accepted only once it was.
"""

from __future__ import annotations

from dataclasses import replace

from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.errors import IrmError
from irmcore.intake.accepted_there import AcceptedThere
from irmcore.intake.promotion import Promoted, create_there, promote
from irmcore.intake.run_result import RunResult
from irmcore.operations.connectors import Connectors
from irmcore.outbox import Outbox
from irmcore.outbox.on_store.replica import AT_ONCE, Replica
from irmcore.outbox.on_store.shared import SharedOutbox, register, registered
from irmcore.store.prefixed import Prefixed
from irmcore.store.store import Store

from irmcli.exit_codes import known_error
from irmcli.extras import cloud_extra
from irmcli.settings import Settings


class Address:
    """An address with the outboxes of connectors."""

    def __init__(self, root: Store, text: str) -> None:
        self._root, self._text, self._clock = root, text, SystemClock()

    @staticmethod
    def of(settings: Settings) -> Address:
        """The address in the settings; nothing is sent yet. Raises ConfigurationError."""
        with cloud_extra():
            from irmcli.object_store import address, object_store

            parsed = address.parse(settings.address)
            return Address(object_store.ObjectStore(parsed, settings.environment), str(parsed))

    def shared(self, name: str) -> SharedOutbox:
        """The outbox of a connector, to promote into."""
        where = f"{self._text}/{name}"
        return SharedOutbox(Prefixed(self._root, name), self._clock, where, at_once=AT_ONCE)

    def replica(self, name: str) -> Replica:
        """The outbox of a connector, to send and to decide about."""
        return Replica(Prefixed(self._root, name), self._clock, f"{self._text}/{name}")

    def register(self, name: str) -> None:
        """Add a connector to the list. Raises StoreAway, StoreRefused."""
        register(self._root, name, self._clock)

    def names(self) -> list[str]:
        """The connectors. Raises StoreAway, StoreRefused."""
        return registered(self._root)


class SharedConnectors(Connectors):
    """The connectors at an address."""

    def __init__(self, address: Address, text: str) -> None:
        super().__init__(system_disk(), SystemClock(), text)
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

    def __init__(self, settings: Settings, address: Address, own: Outbox) -> None:
        self._keeps = settings.keeps_directory
        self._address, self._own = address, own
        self._shared = address.shared(name_there(own))

    def accepted_there(self) -> AcceptedThere:
        """What a run is shaped with."""
        return AcceptedThere(self._shared)

    def run(self, done: RunResult, there: AcceptedThere) -> RunResult:
        """Promote the run ``done``, which was shaped with ``there``, and those before it.

        Raises IrmError: then the message says whether the rows are kept here.
        """
        try:
            self.create()
            found = promote(self._own, self._shared, run=done.run, there=there)
        except (IrmError, OSError) as error:
            raise self._not_promoted(known_error(error)) from None
        own = next((one for one in found if one.run == done.run), None)
        return done if own is None else result_of(done, own)

    def create(self) -> None:
        """Create the outbox there, unless it exists, and list it. Raises StoreAway, StoreRefused."""
        self._address.register(name_there(self._own))
        create_there(self._own, self._shared)

    def rest(self) -> list[Promoted]:
        """Promote what earlier commands could not. Raises as ``promote``."""
        if not self._own.exists() or not self._own.count_ready():
            return []
        self.create()  # the first run may have been killed before it
        return promote(self._own, self._shared)

    def _not_promoted(self, error: IrmError) -> IrmError:
        if self._keeps:
            what = "the rows are kept on this machine, but not accepted into the outbox on the store yet"
            step = f"{error.next_step} Then `irmexport drain` moves them there; nothing is lost."
        else:
            what, step = "the rows were not accepted", f"{error.next_step} Then run the same command again."
        return type(error)(f"{what}: {error.what}", where=error.where, next_step=step)


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


def own_connectors(settings: Settings) -> list[Outbox]:
    """The outboxes that this machine has beside an address."""
    return Connectors(settings.disk, SystemClock(), settings.outbox_checked()).outboxes()
