"""The connectors in the outbox directory that the command line was given."""

from __future__ import annotations

from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.operations.connectors import Connectors

from irmcli.settings import Settings


def connectors_of(settings: Settings) -> Connectors:
    """The connectors; an outbox directory that does not exist counts as empty. Raises ConfigurationError."""
    return Connectors(system_disk(), SystemClock(), settings.outbox_checked())
