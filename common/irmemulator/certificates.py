"""The throw-away CA, and where its files lie.

Promised: a new CA for each emulator; its private key never leaves memory; the server's key is
written with mode 0600, in a directory of mode 0700 that is removed at the stop, unless the user
named one. Not promised: a certificate that anything but this emulator's clients should trust.
"""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
from pathlib import Path

import trustme

_NAMES = ("127.0.0.1", "::1", "localhost")


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, in place of what was there."""
    # O_NOFOLLOW: in a directory that others may write to, a link must not choose the target.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)  # the file may have been there already, open to others
        file.write(content)


class Certificates:
    """A CA, a server certificate for 127.0.0.1, ::1 and localhost, and their files."""

    def __init__(self, directory: Path | None) -> None:
        """Make the keys; nothing is written before `place`.

        Args:
            directory: Where the files stay after the stop; None: in a temporary directory.
        """
        self._ca = trustme.CA(organization_name="irmemulator, for tests only")
        self._leaf = self._ca.issue_cert(*_NAMES)
        self._directory = directory
        self._temporary: Path | None = None

    @property
    def ca_file(self) -> Path:
        """The CA's certificate as PEM: what a client must trust.

        Raises:
            RuntimeError: `place` was not called yet.
        """
        directory = self._directory or self._temporary
        if directory is None:
            raise RuntimeError("the emulator was not started yet: call start() first")
        return directory / "ca.pem"

    def place(self) -> ssl.SSLContext:
        """Write the files and give the server's TLS context (TLS 1.2 and newer).

        Raises:
            OSError: The files cannot be written.
        """
        directory = self._directory
        if directory is not None:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            directory = self._place_temporary()
        write_private(self.ca_file, self._ca.cert_pem.bytes())
        server = directory / "server.pem"
        write_private(server, self._leaf.private_key_and_cert_chain_pem.bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(server)
        return context

    def remove(self) -> None:
        """Remove the temporary directory; a directory that the user named stays.

        Raises:
            OSError: It cannot be removed: the throw-away key is still there.
        """
        if self._temporary is not None and self._temporary.exists():
            shutil.rmtree(self._temporary)

    def _place_temporary(self) -> Path:
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="irmemulator-"))
        else:
            # After a restart clients still hold the path of the CA file, so it must come back.
            # mkdir fails when someone else has taken the name meanwhile, and so does the start.
            self._temporary.mkdir(mode=0o700)
        return self._temporary
