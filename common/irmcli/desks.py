"""The operator's desk over the outbox that the command line was given."""

from __future__ import annotations

from irmcore.clock import SystemClock
from irmcore.desk import Desk
from irmcore.disk import system_disk

from irmcli.settings import Settings


def desk_of(settings: Settings) -> Desk:
    """The desk; an outbox that does not exist yet is an empty one."""
    return Desk(system_disk(), SystemClock(), str(settings.outbox.absolute()))
