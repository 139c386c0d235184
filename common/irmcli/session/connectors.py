"""The connectors in the outbox directory that the command line was given."""

from contextlib import suppress
from dataclasses import replace

from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.operations.connectors import Connectors
from irmcore.operations.reconciliation import differences
from irmcore.operations.status import ConnectorStatus, connector_status
from irmcore.outbox import Outbox, audit_log

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


def status_of(settings: Settings, outbox: Outbox, *, verify_bytes: int = 0) -> ConnectorStatus:
    """The status of a connector, with differences to the portal's log and this machine's last run.

    Beside an address, runs are recorded in this machine's directory. Raises as ``connector_status``.
    """
    status = connector_status(outbox, verify_bytes=verify_bytes)
    if not status.trouble:
        with suppress(OSError):  # then `damage` says why
            status = replace(status, differences=differences(outbox))
    if not settings.address:
        return status
    from irmcli.session.shared import own_connectors

    runs = [
        audit_log.newest(own, ("run",))["run"] for own in own_connectors(settings) if own.name == status.name
    ]
    return replace(status, last_run=max(runs, default=0.0))
