"""A file's rows into the outbox of a connection, as `send` and `watch` hand them over."""

from __future__ import annotations

from collections.abc import Mapping

from irmcore import connection as connections
from irmcore import intake
from irmcore.clock import SystemClock
from irmcore.connection import Connection
from irmcore.disk import system_disk
from irmcore.intake import Accepted
from irmcore.outbox import Box
from irmcore.profile import Profile

from irmcli import source
from irmcli.settings import Settings


def box_of(settings: Settings, connection: Connection) -> Box:
    """The outbox of a connection."""
    path = f"{settings.outbox_ready()}/{connections.box_name(connection)}"
    return Box(system_disk(), SystemClock(), path)


def accept(
    settings: Settings,
    profile: Profile,
    connection: Connection,
    file: str,
    *,
    form: str = "auto",
    details: Mapping[str, str],
    max_refused: int | None = None,
    progress: intake.Progress | None = None,
) -> tuple[Box, Accepted]:
    """Shape ``file`` and keep its rows. Raises InputError, TooManyRefused, WaitError: nothing accepted."""
    box = box_of(settings, connection)
    box.create()
    connections.save(box, connection)  # before any row: whatever happens then, a drain knows where to
    with source.table(file, profile, form) as table:
        done = intake.accept(
            table,
            profile.at(connection.connector),
            box,
            settings.origin(details),
            where=connections.destination(connection),
            name=file,
            max_refused=max_refused,
            progress=progress,
        )
    return box, done
