"""How to reach the connector of a profile: at Microsoft, or at an emulator announced in a directory.

The emulator is imported only for a directory, so that a command that sends to Microsoft starts without it.
"""

import uuid
from dataclasses import replace
from pathlib import Path

from irmcore.delivery.connection import Connection
from irmcore.profile import CredentialRef, Profile
from irmcore.profile.model import PLACEHOLDER

ANNOUNCEMENT = "emulator.json"
# Any fixed namespace: a profile must get the same made-up IDs in every process.
_NAMESPACE = uuid.UUID("6f1d3a52-0f0b-4b0f-9a3e-6a4f0d1f7a10")


def id_of(profile: Profile, key: str) -> str:
    """The profile's own ID, or a made-up one if it still has the placeholder."""
    own: str = getattr(profile.connector, key)
    if own != PLACEHOLDER:
        return own
    return str(uuid.uuid5(_NAMESPACE, f"{profile.name} {key}" if key == "job_id" else key))


def connection_to(profile: Profile, directory: str | None) -> Connection:
    """The connection for ``profile``: to Microsoft, or to the emulator that was announced in ``directory``.

    Raises ConfigurationError if no emulator was announced there.
    """
    if directory is None:
        return Connection(profile.name, profile.connector)
    from irmsentinel.emulators.announcement import find_emulator

    start = f"irmexport emulator --directory {directory}"
    emulator = find_emulator(Path(directory), ANNOUNCEMENT, start)
    connector = replace(
        profile.connector,
        job_id=id_of(profile, "job_id"),
        tenant_id=id_of(profile, "tenant_id"),
        app_id=id_of(profile, "app_id"),
        credential=CredentialRef("file", emulator["secret_file"]),
        proxy=None,
    )
    return Connection(profile.name, connector, emulator["url"], emulator["ca_file"])
