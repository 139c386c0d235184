"""A TLS server on loopback that clients must not trust. It records who connects and what they send."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType

import trustme

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
#: What can be wrong with the server.
WRONGS = ("name", "expired", "not-yet", "authority", "protocol")
_DATES = {
    "expired": {"not_before": NOW - 9 * DAY, "not_after": NOW - DAY},
    "not-yet": {"not_before": NOW + DAY, "not_after": NOW + 9 * DAY},
}


class Impostor:
    """Wrong in one of ``WRONGS``, or in nothing (""); a context manager.

    ``directory`` gets the authority that a client is to trust. ``connections`` counts those who came,
    ``heard`` is what they said once TLS was up: to end it before they are gone loses nothing of it.
    """

    def __init__(self, directory: Path, wrong: str = "") -> None:
        self.connections = 0
        self.heard = b""
        self.ca_file = directory / "impostor-ca.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        issuer = trustme.CA() if wrong == "authority" else authority
        name = "elsewhere.invalid" if wrong == "name" else "127.0.0.1"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert(name, **_DATES.get(wrong, {})).configure_cert(self._context)
        if wrong == "protocol":
            self._context.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3
            self._context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            self._context.set_ciphers("ALL:@SECLEVEL=0")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """The server's address."""
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Impostor:  # noqa: PYI034 - typing.Self is not in 3.9
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join(20)
        self._listener.close()

    def _serve(self) -> None:
        # Connections from before the end are still read, so that nothing is missed.
        while True:
            last = self._stopping.is_set()
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if last:
                    return
                continue  # nobody connected within the timeout
            self.connections += 1
            connection.settimeout(5)
            try:
                with connection, self._context.wrap_socket(connection, server_side=True) as tls:
                    self.heard += tls.recv(4096)
            except OSError:
                continue  # the client did not trust it, as it should
