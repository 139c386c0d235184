"""The impostor records clients that trust it, and only its one fault keeps clients from trusting it."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from tests.fakes.impostor import WRONGS, Impostor


def output(there: Impostor, context: ssl.SSLContext) -> None:
    """Connect with ``context`` and send something."""
    port = int(there.url.rsplit(":", 1)[1])
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
        tls.sendall(b"a secret")


def test_it_hears_who_trusts_it(tmp_path: Path) -> None:
    """Without a fault, a client that trusts its authority sends its data."""
    with Impostor(tmp_path) as there:
        output(there, ssl.create_default_context(cafile=str(there.ca_file)))
    assert (there.connections, there.heard) == (1, b"a secret")


@pytest.mark.filterwarnings("ignore:ssl:DeprecationWarning")  # the case is an old protocol
@pytest.mark.parametrize("wrong", WRONGS)
def test_what_is_wrong_is_seen_by_who_looks_and_heard_by_who_does_not(tmp_path: Path, wrong: str) -> None:
    """A client that verifies sends nothing, and one that does not is recorded."""
    with Impostor(tmp_path, wrong) as there:
        with pytest.raises(ssl.SSLError):
            output(there, ssl.create_default_context(cafile=str(there.ca_file)))
        careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        careless.check_hostname = False
        careless.verify_mode = ssl.CERT_NONE
        careless.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        careless.set_ciphers("ALL:@SECLEVEL=0")
        output(there, careless)
    assert (there.connections, there.heard) == (2, b"a secret")
