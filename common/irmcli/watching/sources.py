"""The folder that `watch` was given: a directory, or the address of a drive or container."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from irmcore.clock import Clock
from irmcore.errors import ConfigurationError

from irmcli.extras import cloud_extra, entra_extra
from irmcli.object_store import address
from irmcli.settings import Settings
from irmcli.watching.folder import Folder
from irmcli.watching.local_folder import LocalFolder
from irmcli.watching.routes import Route
from irmcli.watching.sharepoint_address import SCHEME, parse

if TYPE_CHECKING:
    from irmsentinel.azure.graph_client import GraphClient
    from irmsentinel.azure.identity import Identity

#: The longest time, in seconds, that a request waits by itself: meanwhile `watch` neither sends nor stops.
_MAX_WAIT = 10.0


@dataclass(frozen=True)
class SignIn:
    """Who signs in to Microsoft Graph or Azure. ``kind`` is a value of `--sign-in`.

    ``emulator`` is the directory of a Graph emulator, which replaces Microsoft Graph.
    """

    kind: str = "default"
    tenant_id: str | None = None
    client_id: str | None = None
    credential: tuple[str, str] | None = None
    emulator: Path | None = None


def is_directory(source: str) -> bool:
    """Whether ``source`` means a directory of this machine."""
    return "://" not in source


def open_folder(
    source: str,
    settings: Settings,
    cloud: str,
    sign_in: SignIn,
    clock: Clock,
    *,
    settle: float,
) -> Folder:
    """The folder at ``source``, for profiles of ``cloud``. Sends nothing yet. Raises ConfigurationError."""
    state = Path(settings.outbox_ready()) / "watched" / "folders"
    if is_directory(source):
        return LocalFolder(Path(source).absolute(), state, clock, settle=settle)
    if source.startswith(SCHEME):
        with entra_extra():
            from irmcli.watching.drive import Drive
        from irmcli.watching.drive_folder import DriveFolder

        site = parse(source, cloud)
        drive = Drive(_graph(settings, cloud, sign_in), site)
        return DriveFolder(drive, str(site), state, clock, settle=settle)
    if address.is_address(source):
        return _container(source, settings, sign_in, state, clock, settle)
    raise ConfigurationError(
        "this is neither a directory nor an address that can be watched",
        where=source[:200],
        next_step=f"Give a directory, {SCHEME}HOST/sites/NAME/LIBRARY/FOLDER, "
        "az://ACCOUNT/CONTAINER/PREFIX or s3://BUCKET/PREFIX.",
    )


def _container(  # noqa: PLR0917 - as open_folder, in its order
    source: str, settings: Settings, sign_in: SignIn, state: Path, clock: Clock, settle: float
) -> Folder:
    at = address.parse(source)
    with cloud_extra():
        from irmcli.identities.sign_in import checked
        from irmcli.object_store.container import Container
        from irmcli.object_store.object_store import credential_of
    from irmcli.watching.container_folder import ContainerFolder

    make = credential_of(at, settings.environment, checked(_identity(sign_in)))
    container = Container(at, settings.environment, credential=make)
    return ContainerFolder(container, str(at), state, clock, settle=settle)


def cloud_of(routes: Sequence[Route]) -> str:
    """The cloud of the profiles. Raises ConfigurationError if they have several."""
    clouds = sorted({route.profile.connector.cloud for route in routes})
    if len(clouds) > 1:
        raise ConfigurationError(
            f"the profiles are of several clouds: {', '.join(clouds)}",
            where="--route",
            next_step="Watch the folder with the profiles of its own cloud.",
        )
    return clouds[0]


def _graph(settings: Settings, cloud: str, sign_in: SignIn) -> GraphClient:
    from irmcli.identities import sign_in as sign_ins

    return sign_ins.client_or_emulator(
        _identity(sign_in), cloud, settings.environment, sign_in.emulator, max_wait=_MAX_WAIT
    )


def _identity(sign_in: SignIn) -> Identity:
    from irmsentinel.azure.identity import Identity

    return Identity(sign_in.kind, sign_in.tenant_id, sign_in.client_id, sign_in.credential)
