"""Whose identity reads Microsoft Graph: a managed identity, az, an application, or an emulator's
application.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from azure.core.credentials import TokenCredential
from azure.identity import ClientSecretCredential
from irmcore.errors import ConfigurationError
from irmcore.http import credentials
from irmsentinel.azure import identity
from irmsentinel.azure.bounded_transport import Network
from irmsentinel.azure.graph_client import HOSTS, MAX_WAIT, GraphClient
from irmsentinel.azure.identity import Identity

from irmcli.credential_stores import READERS

#: What --sign-in may be, as the kinds of `irmsentinel.azure.identity`.
KINDS = {
    "default": "default",
    "managed-identity": "managed-identity",
    "cli": "cli",
    "app": "client-secret",
}
_AZURE_CLOUDS = {
    "commercial": "public",
    "gcc": "public",
    "gcc-high": "us-government",
    "dod": "us-government",
}


def client(
    chosen: Identity, cloud: str, environment: Mapping[str, str], *, max_wait: float = MAX_WAIT
) -> GraphClient:
    """Graph of a cloud of the connector. ``chosen.kind`` is a key of ``KINDS``. Raises ConfigurationError."""
    make = identity.maker(checked(chosen), _AZURE_CLOUDS[cloud], environment, READERS)
    return GraphClient(HOSTS[cloud], make, Network.of(environment), max_wait=max_wait)


def client_or_emulator(
    chosen: Identity,
    cloud: str,
    environment: Mapping[str, str],
    emulator: Path | None,
    *,
    max_wait: float = MAX_WAIT,
) -> GraphClient:
    """As ``client``, or Graph of the emulator that was announced in the directory ``emulator``."""
    if emulator is not None:
        return emulated_client(emulator, max_wait=max_wait)
    return client(chosen, cloud, environment, max_wait=max_wait)


def checked(chosen: Identity) -> Identity:
    """The identity with the kind's name in `irmsentinel.azure.identity`. Raises ConfigurationError."""
    if chosen.kind == "app" and not (chosen.tenant_id and chosen.client_id and chosen.secret):
        raise ConfigurationError(
            "the sign-in as an application needs its tenant, its ID and its credential",
            where="--sign-in app",
            next_step="Add --tenant-id, --client-id and --credential, for example --credential file:PATH.",
        )
    return replace(chosen, kind=KINDS[chosen.kind])


def emulated_client(directory: Path, *, max_wait: float = MAX_WAIT) -> GraphClient:
    """Graph of the emulator that was announced in ``directory``. Raises ConfigurationError."""
    # Here, so that a sync with Microsoft's service starts without the emulator.
    from irmemulator.announcement import NotAnnouncedError, read_announcement
    from irmemulator.graph_emulator import ANNOUNCEMENT

    try:
        at = read_announcement(directory / ANNOUNCEMENT)
    except NotAnnouncedError:
        raise ConfigurationError(
            "no emulator was announced in this directory",
            where=str(directory),
            next_step=f"Start one in another window: irmexport identities emulator --directory {directory}",
        ) from None

    network = Network(ca_file=at["ca_file"])

    def credential() -> TokenCredential:
        return ClientSecretCredential(
            at["tenant_id"],
            at["app_id"],
            str(credentials.for_emulator(credentials.read("file", at["secret_file"], {})).reveal()),
            authority=at["url"],
            disable_instance_discovery=True,
            transport=network.transport(identity.DEADLINE),
        )

    return GraphClient(at["url"], credential, network, max_wait=max_wait)
