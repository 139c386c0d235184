"""Where a stand-in that runs on this machine is to be found: the file that it has left in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from irmcore.errors import ConfigurationError

#: The file of the collector's stand-in.
COLLECTOR = "collector-emulator.json"


def read(directory: Path, file: str, start: str) -> dict[str, Any]:
    """What a stand-in says of itself in ``directory``; ``start`` is the command that would start one.

    Raises ConfigurationError.
    """
    try:
        described: dict[str, Any] = json.loads((directory / file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ConfigurationError(
            "no stand-in has announced itself here",
            where=str(directory),
            next_step=f"Start one: {start}",
        ) from None
    return described
