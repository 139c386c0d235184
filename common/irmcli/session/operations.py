"""The operator's desk over the outbox that the command line was given."""

from __future__ import annotations

from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.operations.connectors import Connectors

from irmcli.settings import Settings


def connectors_of(settings: Settings) -> Connectors:
    """The desk; an outbox that does not exist yet is an empty one."""
    return Connectors(system_disk(), SystemClock(), str(settings.outbox.absolute()))
