"""The operator's desk over the outbox that the command line was given."""

from __future__ import annotations

from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.operations.operations import Operations

from irmcli.settings import Settings


def operations_of(settings: Settings) -> Operations:
    """The desk; an outbox that does not exist yet is an empty one."""
    return Operations(system_disk(), SystemClock(), str(settings.outbox.absolute()))
