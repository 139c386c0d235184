"""The emulator of Microsoft Graph as tests and the command line use it.

Promised: what `loopback_server` promises. Not promised: that Microsoft Graph behaves the same where
`graph_service` says "undocumented".
"""

from __future__ import annotations

from pathlib import Path

from irmemulator.announcement import write_announcement
from irmemulator.drive_service import DriveOptions
from irmemulator.graph_drive import GraphDrive
from irmemulator.graph_service import GraphOptions, GraphService
from irmemulator.graph_tenant import GraphTenant
from irmemulator.http_messages import Request
from irmemulator.loopback_server import LoopbackServer
from irmemulator.private_files import made_up_secret, write_private

#: The name of the announcement in the emulator's directory.
ANNOUNCEMENT = "graph.json"


class GraphEmulator(LoopbackServer):
    """A local emulator of the calls of Microsoft Graph that read people, and those of a drive."""

    def __init__(
        self,
        tenant: GraphTenant,
        options: GraphOptions,
        directory: Path,
        *,
        port: int = 0,
        lifetime: float | None = None,
    ) -> None:
        """Take the settings. Nothing listens before `start`.

        Args:
            tenant: Its people and groups; changes take effect at once.
            options: The application, and how the service behaves.
            directory: Gets the CA, the secret and the announcement.
            port: The port; 0: any free one.
            lifetime: Seconds after which it stops by itself; None: never.
        """
        self.tenant = tenant
        self.options = options
        self.directory = directory
        self.secret = made_up_secret()
        self.drive = GraphDrive()
        self.drive_options = DriveOptions()
        self._graph = GraphService(tenant, options, self.secret, self.drive, self.drive_options)
        super().__init__(self._graph, port=port, directory=directory, lifetime=lifetime)

    @property
    def requests(self) -> list[Request]:
        """Every request to Graph so far, in order; not those for tokens."""
        return list(self._graph.requests)

    @property
    def downloads(self) -> list[Request]:
        """Every request for a file's content so far, in order."""
        return list(self._graph.drive.downloads)

    @property
    def token_requests(self) -> int:
        """How many requests came to the token endpoint."""
        return self._graph.entra.token_requests

    def reset_delta(self) -> None:
        """Let all delta tokens get a 410."""
        self._graph.reset()
        self._graph.drive.reset()

    def revoke_tokens(self) -> None:
        """Revoke every access token issued so far."""
        self._graph.entra.revoke_tokens()

    def announce(self) -> None:
        """Write the secret and the announcement, for `--emulator DIRECTORY`. Raises OSError."""
        secret_file = self.directory.absolute() / "secret"
        write_private(secret_file, self.secret.encode())
        write_announcement(
            self.directory / ANNOUNCEMENT,
            {
                "url": self.url,
                "ca_file": str(self.ca_file),
                "tenant_id": self.options.tenant_id,
                "app_id": self.options.app_id,
                "secret_file": str(secret_file),
            },
        )
