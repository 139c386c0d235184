"""What the command line takes from its surroundings, read once: directories, environment, who runs it."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import platformdirs
from irmcore import profile as profiles
from irmcore.delivery import connection as connections
from irmcore.delivery.connection import Connection
from irmcore.delivery.service import Service
from irmcore.disk import make_dirs, system_disk
from irmcore.errors import ConfigurationError
from irmcore.http import credentials
from irmcore.http.credentials import Credential
from irmcore.outbox import Origin, Outbox
from irmcore.profile import CredentialRef, Profile

from irmcli import credential_stores as safes
from irmcli import plugins
from irmcli.credential_stores import expiry


@dataclass(frozen=True)
class Settings:
    """The outbox, the folders of the user's configuration and of their own profiles, and the environment."""

    outbox: Path
    configuration: Path
    profiles: Path
    environment: Mapping[str, str]

    @staticmethod
    def read(outbox: str | None) -> Settings:
        environment = dict(os.environ)
        state = platformdirs.user_state_path("irmexport")
        configuration = platformdirs.user_config_path("irmexport")
        return Settings(
            outbox=Path(outbox) if outbox else state / "outbox",
            configuration=configuration,
            profiles=Path(environment.get("IRMEXPORT_PROFILES", configuration / "profiles")),
            environment=environment,
        )

    @staticmethod
    def of(ctx: click.Context) -> Settings:
        settings: Settings = ctx.meta["irmexport.settings"]
        return settings

    def outbox_ready(self) -> str:
        """The outbox directory, made with mode 0700 if need be. Raises ConfigurationError."""
        try:
            make_dirs(system_disk(), str(self.outbox.absolute()))
            mode = self.outbox.stat().st_mode
        except OSError as error:
            raise ConfigurationError(
                f"the outbox directory cannot be made ({error.strerror})",
                where=str(self.outbox),
                next_step="Give another one with --outbox, or the rights to make this one.",
            ) from None
        if os.name == "posix" and mode & 0o077:
            raise ConfigurationError(
                f"the outbox directory may be read by others (mode {mode & 0o777:04o})",
                where=str(self.outbox),
                next_step=f"It holds data about people: chmod 700 {self.outbox}",
            )
        return str(self.outbox.absolute())

    def service(self, connection: Connection, *, warn: Callable[[str], None] | None = None) -> Service:
        """How a connection's batches are sent; the secret is read when a token is first needed.

        ``warn`` is told then if the secret ends soon. Raises ConfigurationError.
        """

        def secret() -> Credential:
            found = self.credential(connection.connector.credential)
            said = expiry.warning(found, time.time())
            if warn is not None and said is not None:
                warn(said)
            return found

        return connections.service(connection, secret)

    def credential(self, place: CredentialRef) -> Credential:
        """What is at the place that a profile names. Raises CredentialError."""
        return credentials.read(place.kind, place.name, self.environment, safes.READERS)

    def service_of(self, outbox: Outbox, *, warn: Callable[[str], None] | None = None) -> Service:
        """How an outbox is sent, whatever kind of destination it has; ``warn`` as for `service`.

        Raises ConfigurationError, DamageError.
        """
        kind = connections.kind_of(outbox)
        if kind == connections.KIND:
            return self.service(connections.load(outbox), warn=warn)
        for point in plugins.points(plugins.DESTINATIONS).select(name=kind):
            made: Service = point.load()(outbox, self.credential)
            return made
        raise ConfigurationError(
            f"this installation knows no destination `{kind}`",
            where=outbox.path,
            next_step="Install what handed these batches over: pip install 'irmexport[sentinel]'",
        )

    def profile(self, name: str) -> Profile:
        """The profile at a path, of the user's own directory, or shipped. Raises ProfileError."""
        if name.endswith((".yaml", ".yml")) or os.sep in name:
            return profiles.read(name)
        own = self.profiles / f"{name}.yaml"
        if own.is_file():
            return profiles.read(str(own))
        if name in profiles.shipped_names():
            return profiles.parse(profiles.shipped_text(name), f"{name}.yaml (shipped)")
        raise ConfigurationError(
            f"there is no profile `{name}`",
            where=str(self.profiles),
            next_step=f"Give a path, or one of: {', '.join(profiles.shipped_names())}.",
        )

    def origin(self, details: Mapping[str, str]) -> Origin:
        """Who runs this command, for the audit record."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
        return Origin(user=user, host=socket.gethostname(), app="cli", details=dict(details))
