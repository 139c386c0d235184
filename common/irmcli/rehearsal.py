"""The directory that an emulator and its users share: its address, CA, made-up IDs and secret."""

from __future__ import annotations

import json
import os
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from irmcore.connection import Connection
from irmcore.errors import ConfigurationError
from irmcore.profile import CredentialRef, Profile
from irmcore.profile.model import PLACEHOLDER
from irmemulator import App, Emulator, Job, Options

FILE = "emulator.json"
_SPACE = uuid.UUID("6f1d3a52-0f0b-4b0f-9a3e-6a4f0d1f7a10")  # any fixed one: the same profile, the same IDs


def job_of(profile: Profile) -> Job:
    """The connector that an administrator would have made in the portal for ``profile``."""
    source = profile.column("source")
    user, time = profile.column("user"), profile.column("time")
    return Job(
        job_id=_id(profile, "job_id"),
        app_id=_id(profile, "app_id"),
        name=profile.name,
        columns=tuple(column.header for column in profile.columns),
        user_column=user.header if user else None,
        time_column=time.header if time else None,
        source_column=source.header if source else None,
        related_values=source.related_values if source else (),
    )


def _id(profile: Profile, key: str) -> str:
    """The profile's own ID, or a made-up one where it still has the placeholder."""
    own: str = getattr(profile.connector, key)
    if own != PLACEHOLDER:
        return own
    return str(uuid.uuid5(_SPACE, f"{profile.name} {key}" if key == "job_id" else key))


def emulator(
    directory: Path,
    profiles: Iterable[Profile],
    options: Options,
    *,
    port: int = 0,
    lifetime: float | None = None,
) -> Emulator:
    """An emulator with a job for each profile, not started yet; its secret is a file of mode 0600."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret_file = directory / "secret"
    if not secret_file.exists():
        descriptor = os.open(secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    secret = secret_file.read_text().strip()
    jobs = {job.job_id: job for job in map(job_of, profiles)}
    apps = {
        (app.tenant_id, app.app_id): app
        for app in (App(_id(p, "tenant_id"), _id(p, "app_id"), secret) for p in profiles)
    }
    return Emulator(apps.values(), jobs.values(), options, port=port, directory=directory, lifetime=lifetime)


def announce(directory: Path, running: Emulator) -> None:
    """Write where the emulator listens, for `--emulator DIRECTORY`."""
    description = {**running.describe(), "secret_file": str(directory.absolute() / "secret")}
    (directory / FILE).write_text(json.dumps(description, indent=1) + "\n")


def connection(profile: Profile, directory: str | None) -> Connection:
    """How ``profile`` is reached: at Microsoft, or at the emulator of ``directory``.

    Raises ConfigurationError if no emulator has announced itself there.
    """
    if directory is None:
        return Connection(profile.name, profile.connector)
    described = _announced(directory)
    connector = replace(
        profile.connector,
        job_id=_id(profile, "job_id"),
        tenant_id=_id(profile, "tenant_id"),
        app_id=_id(profile, "app_id"),
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
