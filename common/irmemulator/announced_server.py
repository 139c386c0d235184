"""An emulator of services of one tenant, with one application, that other processes find by its announcement.

Its secret is made up, and in a file of mode 0600 beside the announcement.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from irmemulator.announcement import write_announcement
from irmemulator.entra import Entra
from irmemulator.fault_queue import Faults
from irmemulator.http_messages import Reply, Request
from irmemulator.loopback_server import LOOPBACK_NAMES, LoopbackServer
from irmemulator.private_files import made_up_secret, write_private
from irmemulator.routing import Route
from irmemulator.settings import App


class AnnouncedServer(LoopbackServer):
    """A subclass is its own service: it says how requests are answered (`route`, `refuse`)."""

    #: The announcement's name in the directory.
    announcement: ClassVar[str]

    def __init__(  # noqa: PLR0913 - all by name but the first three
        self,
        app: tuple[str, str],
        endpoints: Sequence[str],
        directory: Path,
        *,
        resources: Sequence[str],
        token_lifetime: float = 3_599,
        port: int = 0,
        lifetime: float | None = None,
        names: Sequence[str] = LOOPBACK_NAMES,
    ) -> None:
        """Nothing listens before `start`.

        ``app`` is the tenant and the application, ``endpoints`` are those that faults may be set on, besides
        Entra's. ``resources`` are what tokens are issued for, first what a loopback address means. The others
        are `LoopbackServer`'s; ``directory`` gets the secret and the announcement, too.
        """
        self.directory, self._app = directory, app
        self.secret = made_up_secret()
        self.faults = Faults((*endpoints, "token", "discovery"))
        self.entra = Entra(
            [App(*app, self.secret)],
            resources,
            own_resource=resources[0],
            token_lifetime=token_lifetime,
        )
        super().__init__(self, port=port, directory=directory, lifetime=lifetime, names=names)

    def route(self, request: Request) -> Route | Reply:
        """The endpoint for a request whose head was read, or the reply if its body need not be read."""
        raise NotImplementedError

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """An error in the services' own form."""
        raise NotImplementedError

    def announce(self, **more: Any) -> None:
        """Write the secret and the announcement, for `--emulator DIRECTORY`. Raises OSError."""
        secret_file = self.directory.absolute() / "secret"
        write_private(secret_file, self.secret.encode())
        tenant_id, app_id = self._app
        found = {"url": self.url, "ca_file": str(self.ca_file), "secret_file": str(secret_file)}
        write_announcement(
            self.directory / self.announcement, {**found, "tenant_id": tenant_id, "app_id": app_id, **more}
        )
