"""The folder that `watch` was given: a directory, or the address of a drive or container."""

from collections.abc import Sequence
from pathlib import Path

from irmcore.clock import Clock
from irmcore.errors import ConfigurationError

from irmcli.extras import cloud_extra, entra_extra
from irmcli.object_store import address
from irmcli.options import SignIn
from irmcli.settings import Settings
from irmcli.watching.folder import Folder
from irmcli.watching.local_folder import LocalFolder
from irmcli.watching.routes import Route
from irmcli.watching.sharepoint_address import SCHEME, parse

#: The longest time, in seconds, that a request waits by itself: meanwhile `watch` neither sends nor stops.
_MAX_WAIT = 10.0


def open_folder(
    source: str,
    settings: Settings,
    cloud: str,
    who: SignIn,
    clock: Clock,
    *,
    settle: float,
    emulator: Path | None = None,
) -> Folder:
    """The folder at ``source``, for profiles of ``cloud``. Sends nothing yet. Raises ConfigurationError.

    ``emulator`` is the directory of a Graph emulator, which replaces Microsoft Graph.
    """
    state = Path(settings.outbox_ready()) / "watched" / "folders"
    if "://" not in source:
        return LocalFolder(Path(source).absolute(), state, clock, settle=settle)
    if source.startswith(SCHEME):
        with entra_extra():
            from irmcli.identities.sign_in import graph_client
            from irmcli.watching.drive import Drive
        from irmcli.watching.drive_folder import DriveFolder

        site = parse(source, cloud)
        client = graph_client(who, cloud, settings.environment, emulator, max_wait=_MAX_WAIT)
        return DriveFolder(Drive(client, site), str(site), state, clock, settle=settle)
    if address.is_address(source):
        at = address.parse(source)
        with cloud_extra():
            from irmcli.identities.sign_in import identity_of
            from irmcli.object_store.container import Container
            from irmcli.object_store.object_store import credential_of
        from irmcli.watching.container_folder import ContainerFolder

        make = credential_of(at, settings.environment, identity_of(who))
        container = Container(at, settings.environment, credential=make)
        return ContainerFolder(container, str(at), state, clock, settle=settle)
    raise ConfigurationError(
        "this is neither a directory nor an address that can be watched",
        where=source[:200],
        next_step=f"Give a directory, {SCHEME}HOST/sites/NAME/LIBRARY/FOLDER, "
        "az://ACCOUNT/CONTAINER/PREFIX or s3://BUCKET/PREFIX.",
    )


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
