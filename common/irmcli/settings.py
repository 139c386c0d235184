"""The settings of a command: directories, environment and user, read once when it starts."""

from __future__ import annotations

import hashlib
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
from irmcore.disk import Disk, FleetingDisk, make_dirs, system_disk
from irmcore.errors import ConfigurationError
from irmcore.http import credentials
from irmcore.http.credentials import Credential
from irmcore.outbox import Origin, Outbox
from irmcore.ownership import require_own, require_own_tree
from irmcore.profile import CredentialRef, Profile

from irmcli.credential_stores import READERS, expiry
from irmcli.extras import sentinel_extra
from irmcli.object_store.address import is_address

#: The default directory of people, in the outbox directory.
PEOPLE = "identities.sqlite"
#: The kind of the collector's destination, as an outbox names it (irmsentinel.azure.ingestion).
_LOG_ANALYTICS = "azure-monitor-ingestion"


@dataclass(frozen=True)
class Settings:
    """The outbox, the directories of the user's configuration and profiles, and the environment variables.

    If the outbox is an ``address``, ``outbox`` is the directory that this machine has beside it.
    """

    outbox: Path
    configuration: Path
    profiles: Path
    environment: Mapping[str, str]
    address: str = ""

    @staticmethod
    def read(outbox: str | None) -> Settings:
        """The settings of this process. ``outbox`` is the `--outbox` option."""
        environment = dict(os.environ)
        state = platformdirs.user_state_path("irmexport")
        configuration = platformdirs.user_config_path("irmexport")
        address = outbox if outbox is not None and is_address(outbox) else ""
        if address:
            directory = state / "beside" / hashlib.sha256(address.encode("utf-8")).hexdigest()[:16]
        else:
            directory = Path(outbox) if outbox else state / "outbox"
        return Settings(
            outbox=directory,
            address=address,
            configuration=configuration,
            profiles=Path(environment.get("IRMEXPORT_PROFILES", configuration / "profiles")),
            environment=environment,
        )

    @staticmethod
    def of(ctx: click.Context) -> Settings:
        """The settings of the running command."""
        settings: Settings = ctx.meta["irmexport.settings"]
        return settings

    @property
    def keeps_directory(self) -> bool:
        """Whether this host keeps a directory: an instance of a Function app loses it."""
        return "FUNCTIONS_WORKER_RUNTIME" not in self.environment

    @property
    def disk(self) -> Disk:
        """The disk of the outbox directory. Beside an address, one that is not kept is not waited for."""
        return system_disk() if self.keeps_directory or not self.address else FleetingDisk()

    @property
    def directory_of_people(self) -> Path:
        """The default directory of people: identities.sqlite in the outbox directory."""
        return self.outbox.absolute() / PEOPLE

    def outbox_ready(self) -> str:
        """The outbox directory, created with mode 0700 if it is missing. Raises ConfigurationError."""
        try:
            make_dirs(system_disk(), str(self.outbox.absolute()))
        except OSError as error:
            raise ConfigurationError(
                f"the outbox directory cannot be created ({error.strerror})",
                where=str(self.outbox),
                next_step="Choose another one with --outbox, or give this user the permission to create it.",
            ) from None
        return self.outbox_checked()

    def outbox_checked(self) -> str:
        """The outbox directory, which need not exist. Raises ConfigurationError if others have access."""
        what = "outbox directory, which holds personal data,"
        require_own(self.outbox, what, ConfigurationError, link=True, private=True)
        return str(self.outbox.absolute())

    def service(self, connection: Connection, *, warn: Callable[[str], None] | None = None) -> Service:
        """The service that sends a connection's batches.

        The credential is read when a token is first needed; ``warn`` is called then if it expires soon.
        Raises ConfigurationError.
        """

        def secret() -> Credential:
            found = self.credential(connection.connector.credential)
            warning = expiry.warning(found, time.time())
            if warn is not None and warning is not None:
                warn(warning)
            return found

        return connections.service(connection, secret)

    def credential(self, reference: CredentialRef) -> Credential:
        """The credential that a profile refers to. Raises CredentialError."""
        return credentials.read(reference.kind, reference.name, self.environment, READERS)

    def service_of(self, outbox: Outbox, *, warn: Callable[[str], None] | None = None) -> Service:
        """The service that sends an outbox's batches, for any kind of destination; ``warn`` as in `service`.

        The settings beside the outbox say where a credential is and where it goes, so they must be the
        user's own. Raises ConfigurationError, DamageError.
        """
        if outbox.has_ledger:  # else it is on a store
            require_own_tree(outbox.path, ConfigurationError)
        outbox.check_format()
        kind = connections.kind_of(outbox)
        if kind == connections.KIND:
            return self.service(connections.load(outbox), warn=warn)
        if kind == _LOG_ANALYTICS:
            with sentinel_extra():
                from irmsentinel.azure.ingestion import service_of
            return service_of(outbox, self.credential)
        raise ConfigurationError(
            f"this version of irmexport has no destination `{kind}`",
            where=outbox.path,
            next_step="Send this outbox with the version that created it.",
        )

    def profile(self, name: str) -> Profile:
        """The profile at a path, in the user's profile directory, or shipped. Raises ProfileError."""
        return self._profile(name).with_directory(str(self.directory_of_people))

    def own_profiles(self) -> list[Profile]:
        """The profiles in the user's profile directory. Raises ProfileError."""
        return [self.profile(str(file.absolute())) for file in sorted(self.profiles.glob("*.yaml"))]

    def _profile(self, name: str) -> Profile:
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
        """The user and host that run this command, for the audit log."""
        return Origin(user=_account(), host=socket.gethostname(), app="cli", details=dict(details))


def _account() -> str:
    """The account that a person signed in with, also under sudo; otherwise the one that runs this process.

    Not from the environment, which anybody may set: a second person must release rows (docs/release.md).
    """
    try:
        return os.getlogin()
    except OSError:  # no person signed in: a service, a timer, a container
        pass
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"
