"""The connectors in the outbox directory that the command line was given."""

from __future__ import annotations

from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.operations.connectors import Connectors
from irmcore.outbox import Outbox

from irmcli.settings import Settings


def connectors_of(settings: Settings) -> Connectors:
    """The connectors; an outbox directory that does not exist counts as empty.

    Raises ConfigurationError; its methods raise StoreAway and StoreRefused where the outbox is an address.
    """
    if settings.address:
        from irmcore.operations.shared import SharedConnectors

        from irmcli.session.shared import address_of

        return SharedConnectors(address_of(settings))
    return Connectors(system_disk(), SystemClock(), settings.outbox_checked())


def outboxes_of(settings: Settings) -> list[Outbox]:
    """The outboxes of ``connectors_of``, and those of this machine beside an address. Raises as those."""
    found = connectors_of(settings).outboxes()
    if settings.address:
        from irmcli.session.shared import own_connectors

        found += own_connectors(settings)
    return found
