"""How a profile is reached: at Microsoft, or at an emulator that has announced itself in a directory.

Nothing of the emulator is loaded here: a command that sends to Microsoft starts without it.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from irmcore.delivery.connection import Connection
from irmcore.errors import ConfigurationError
from irmcore.profile import CredentialRef, Profile
from irmcore.profile.model import PLACEHOLDER

FILE = "emulator.json"
_SPACE = uuid.UUID("6f1d3a52-0f0b-4b0f-9a3e-6a4f0d1f7a10")  # any fixed one: the same profile, the same IDs


def id_of(profile: Profile, key: str) -> str:
    """The profile's own ID, or a made-up one where it still has the placeholder."""
    own: str = getattr(profile.connector, key)
    if own != PLACEHOLDER:
        return own
    return str(uuid.uuid5(_SPACE, f"{profile.name} {key}" if key == "job_id" else key))


def connection_to(profile: Profile, directory: str | None) -> Connection:
    """How ``profile`` is reached: at Microsoft, or at the emulator of ``directory``.

    Raises ConfigurationError if no emulator has announced itself there.
    """
    if directory is None:
        return Connection(profile.name, profile.connector)
    described = _announced(directory)
    connector = replace(
        profile.connector,
        job_id=id_of(profile, "job_id"),
        tenant_id=id_of(profile, "tenant_id"),
        app_id=id_of(profile, "app_id"),
        credential=CredentialRef("file", described["secret_file"]),
        proxy=None,
    )
    return Connection(profile.name, connector, described["url"], described["ca_file"])


def _announced(directory: str) -> dict[str, Any]:
    path = Path(directory) / FILE
    try:
        described: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        raise ConfigurationError(
            "no emulator has announced itself here",
            where=str(path),
            next_step=f"Start one in another window: irmexport emulator --directory {directory}",
        ) from None
    return described
