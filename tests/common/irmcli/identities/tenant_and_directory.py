"""A tenant in the emulator, and the directory that is read from it by Microsoft's clients over HTTPS."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.core.credentials import TokenCredential
from azure.identity import ClientSecretCredential
from irmcli.identities.sync import Sync, SyncResult
from irmcore.identity.directory import Directory
from irmcore.identity.person import Person
from irmcore.identity.resolver import Answer, Resolver
from irmemulator.graph_emulator import GraphEmulator
from irmsentinel.azure.bounded_transport import BoundedTransport, Network
from irmsentinel.azure.graph_client import GraphClient

from tests.fakes.clock import FakeClock

DAY = 86_400.0
#: The beginning of each test.
START = 1_770_000_000.0


def user(number: int, name: str, **more: Any) -> dict[str, Any]:
    """A user as Graph returns it."""
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "userPrincipalName": f"{name}@contoso.com",
        "mail": f"{name}.mail@contoso.com",
        "otherMails": [],
        "proxyAddresses": [f"SMTP:{name}.mail@contoso.com"],
        "accountEnabled": True,
        "createdDateTime": "2020-01-01T00:00:00Z",
        "userType": "Member",
        **more,
    }


def id_of(number: int) -> str:
    """The object id of `user` number."""
    return f"00000000-0000-4000-8000-{number:012}"


@dataclass
class TenantAndDirectory:
    """The emulator's clock and the client's are one, which only tests move."""

    emulator: GraphEmulator
    path: Path
    clock: FakeClock
    options: dict[str, Any] = field(default_factory=dict)

    def client(self, **settings: Any) -> GraphClient:
        """A client that signs in at the emulator."""
        running = self.emulator

        def credential() -> TokenCredential:
            return ClientSecretCredential(
                running.options.tenant_id,
                running.options.app_id,
                running.secret,
                authority=running.url,
                disable_instance_discovery=True,
                transport=BoundedTransport(deadline=10, ca_file=str(running.ca_file)),
            )

        settings = {"clock": self.clock, "ca_file": str(running.ca_file), **settings}
        return GraphClient(running.url, credential, Network(ca_file=settings.pop("ca_file")), **settings)

    def sync(self, *, full: bool = False, **options: Any) -> SyncResult:
        """One sync, an hour after whatever happened before."""
        self.clock.advance(3_600)
        return Sync(self.client(), self.clock, **{**self.options, **options}).run(self.path, full=full)

    def resolve(self, name: str, at: float | None = None) -> Answer:
        """Whom a name means, by default shortly after the sync that has just ended."""
        with Directory(self.path) as directory:
            return Resolver(directory).resolve(name, self.clock.now() + 5 if at is None else at)

    def people(self) -> dict[str, Person]:
        """Everybody's latest version by user principal name."""
        with Directory(self.path) as directory:
            return {person.upn: person for person in directory.people()}

    def state(self) -> bytes:
        """The directory's bytes; none before the first sync."""
        return self.path.read_bytes() if self.path.exists() else b""
