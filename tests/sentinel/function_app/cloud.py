"""What the Function app finds in Azure: Blob Storage (Azurite), and a user-assigned managed identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from irmcli.object_store import address
from irmcli.object_store.object_store import ObjectStore

from tests.fakes.cloud_servers import Azurite, Token
from tests.fakes.managed_identity import ManagedIdentity

CLIENT = "66666666-7777-4888-8999-cccccccccccc"


class Cloud:
    """A storage account and an identity. The app settings are what azuredeploy.json gives the app."""

    def __init__(self, azurite: Azurite, identity: ManagedIdentity) -> None:
        self.azurite, self.identity = azurite, identity

    def app_settings(self, prefix: str) -> dict[str, str]:
        """For an app whose outbox and settings are under ``prefix``."""
        return {
            **self.identity.environment(),
            "AZURE_CLIENT_ID": CLIENT,
            "IRMEXPORT_CA_FILE": str(self.azurite.ca_file),
            "IRMEXPORT_OUTBOX": self.azurite.address(f"{prefix}/outbox"),
            "IRMEXPORT_SETTINGS": self.azurite.address(f"{prefix}/settings"),
        }

    def store(self, where: str) -> ObjectStore:
        """What is at an address."""
        environment = {"IRMEXPORT_CA_FILE": str(self.azurite.ca_file)}
        return ObjectStore(address.parse(where), environment, credential=Token)

    def put_settings(self, prefix: str, files: Mapping[str, str]) -> None:
        """Upload settings files, as an administrator does."""
        store = self.store(self.azurite.address(f"{prefix}/settings"))
        for name, text in files.items():
            store.delete(name)
            assert store.create(name, text.encode())


@contextmanager
def cloud(directory: Path) -> Iterator[Cloud]:
    """A running cloud, in which the instances have no system-assigned identity."""
    directory.mkdir()
    with (
        Azurite(directory) as azurite,
        ManagedIdentity(
            {CLIENT: "principal"}, issue=lambda _client, _resource: Token().get_token().token
        ) as identity,
    ):
        yield Cloud(azurite, identity)
