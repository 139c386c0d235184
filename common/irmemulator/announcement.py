"""The announcement: a JSON file by which other processes find a running emulator.

An emulator is announced in the directory that ``--emulator DIRECTORY`` names. The file has its address and
where the CA and the secret are. Only its owner may read it. It stays after the emulator has stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from irmemulator.private_files import write_private


class NotAnnouncedError(Exception):
    """The directory has no announcement, or one that cannot be read."""


def write_announcement(file: Path, description: Mapping[str, Any]) -> None:
    """Write the announcement ``file``. Raises OSError."""
    # Under another name first: a reader that waits for the file must never see half of it.
    unfinished = file.with_suffix(".tmp")
    write_private(unfinished, (json.dumps(description, indent=1) + "\n").encode())
    unfinished.replace(file)


def read_announcement(file: Path) -> dict[str, Any]:
    """Read the announcement ``file``. Raises NotAnnouncedError."""
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotAnnouncedError(str(file)) from error
    if not isinstance(description, dict):
        raise NotAnnouncedError(str(file))
    return description
