"""The throw-away CA of an emulator, the certificate of its server, and the files they are in.

Promised: each emulator has a CA of its own, whose private key never leaves memory. The server's key is
written with mode 0600, in a directory of mode 0700 that is removed at the stop unless the caller named one.
Not promised: a certificate that anything but this emulator's clients should trust.
"""

from __future__ import annotations

import shutil
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trustme

from irmemulator.private_files import write_private


class Certificates:
    """A CA, a server certificate issued by it, and their files."""

    def __init__(self, directory: Path | None, names: Sequence[str]) -> None:
        """Generate the keys. Nothing is written before `write`.

        The files stay in ``directory`` after the stop; None: in a temporary one. ``names`` are the hosts and
        addresses that the certificate is for.
        """
        self._ca = trustme.CA(organization_name="irmemulator, for tests only")
        self._leaf = self._ca.issue_cert(*names)
        self._directory = directory
        self._temporary: Path | None = None

    @property
    def ca_file(self) -> Path:
        """The CA's certificate as PEM, which clients must trust. Raises RuntimeError."""
        directory = self._directory or self._temporary
        if directory is None:
            raise RuntimeError("the emulator was not started yet: call start() first")
        return directory / "ca.pem"

    def write(self) -> ssl.SSLContext:
        """Write the files and return the server's TLS context (TLS 1.2 and newer). Raises OSError."""
        directory = self._directory
        if directory is not None:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            directory = self._make_temporary()
        write_private(self.ca_file, self._ca.cert_pem.bytes())
        server = directory / "server.pem"
        write_private(server, self._leaf.private_key_and_cert_chain_pem.bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(server)
        return context

    def remove(self) -> None:
        """Remove the temporary directory. A directory that the caller named stays. Raises OSError."""
        if self._temporary is not None and self._temporary.exists():
            shutil.rmtree(self._temporary)

    def _make_temporary(self) -> Path:
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="irmemulator-"))
        else:
            # After a restart clients still have the path of the CA file, so it must be the same.
            # mkdir fails, and with it the start, if another process has taken the name meanwhile.
            self._temporary.mkdir(mode=0o700)
        return self._temporary
