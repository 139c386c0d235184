"""Find the emulator that was announced in a directory, for `--emulator DIRECTORY`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from irmcore.errors import ConfigurationError
from irmemulator.announcement import NotAnnouncedError, read_announcement

#: The announcement of the emulator of the query API, and of the services that the collector calls.
QUERY_API = "api.json"
COLLECTOR_SERVICES = "collector-emulator.json"


def find_emulator(directory: Path, file: str, start: str) -> dict[str, Any]:
    """The announcement ``file`` in ``directory``; ``start`` is the command that starts such an emulator.

    Raises ConfigurationError.
    """
    try:
        return read_announcement(directory / file)
    except NotAnnouncedError:
        raise ConfigurationError(
            "no emulator was announced in this directory",
            where=str(directory / file),
            next_step=f"Start one in another window: {start}",
        ) from None
