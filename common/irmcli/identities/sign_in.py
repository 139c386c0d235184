"""Whose identity reads Microsoft Graph: a managed identity, az, an application, or an emulator's
application.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from irmcore.errors import ConfigurationError
from irmsentinel.azure import identity
from irmsentinel.azure.bounded_transport import Network
from irmsentinel.azure.graph_client import HOSTS, MAX_WAIT, GraphClient
from irmsentinel.azure.identity import Identity

from irmcli.credential_stores import READERS
from irmcli.options import SignIn

_AZURE_CLOUDS = {
    "commercial": "public",
    "gcc": "public",
    "gcc-high": "us-government",
    "dod": "us-government",
}


def graph_client(
    who: SignIn,
    cloud: str,
    environment: Mapping[str, str],
    emulator: Path | None = None,
    *,
    max_wait: float = MAX_WAIT,
) -> GraphClient:
    """Graph of a cloud of the connector, or of the emulator that was announced in a directory.

    Raises ConfigurationError.
    """
    if emulator is not None:
        return _emulated_client(emulator, max_wait)
    make = identity.maker(identity_of(who), _AZURE_CLOUDS[cloud], environment, READERS)
    return GraphClient(HOSTS[cloud], make, Network.of(environment), max_wait=max_wait)


def identity_of(who: SignIn) -> Identity:
    """The identity of the options. Raises ConfigurationError."""
    if who.kind == "app" and not (who.tenant_id and who.client_id and who.credential):
        raise ConfigurationError(
            "the sign-in as an application needs its tenant, its ID and its credential",
            where="--sign-in app",
            next_step="Add --tenant-id, --client-id and --credential, for example --credential file:PATH.",
        )
    kind = "client-secret" if who.kind == "app" else who.kind
    return Identity(kind, who.tenant_id, who.client_id, who.credential)


def _emulated_client(directory: Path, max_wait: float) -> GraphClient:
    # Here, so that a sync with Microsoft's service starts without the emulator.
    from irmemulator.graph_emulator import GraphEmulator
    from irmsentinel.emulators.announcement import find_emulator

    start = f"irmexport identities emulator --directory {directory}"
    at = find_emulator(directory, GraphEmulator.announcement, start)
    network = Network(ca_file=at["ca_file"])
    credential = identity.of_emulator(at, network)
    return GraphClient(at["url"], credential, network, max_wait=max_wait)
