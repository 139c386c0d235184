"""One policy for every client: proxy and CA file come from irmexport's settings, never from the environment.

HTTPS_PROXY, REQUESTS_CA_BUNDLE and the like are set to a listener that nobody should meet, and each client
must reach, or try to reach, its own host as if they were not.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from irmcore import profile as profiles
from irmcore.delivery import connection as connections
from irmcore.errors import ConfigurationError
from irmcore.http.credentials import Secret
from irmcore.http.deadlines import TokenHttp
from irmsentinel.azure.bounded_transport import Network

#: Each is a client of the product. `at` is the address that it is to contact, `ca` the CA file to trust.
CLIENTS = {
    "upload": """
from irmcore.http.upload import HttpsTransport, Upload
import io
upload = Upload(url=at, token="t", file_name="f", content_type="text/csv", content=io.BytesIO(b"x"), length=1,
                deadline=5.0)
print(HttpsTransport(ca_file=ca, proxy=proxy, user_agent="x").post(upload, lambda: None))
""",
    "sign-in of a connector": """
from irmcore.http.deadlines import TokenHttp
TokenHttp(ca_file=ca, proxy=proxy, deadline=5.0).get(at)
""",
    "sign-in by azure-identity": """
from irmsentinel.azure import identity
identity.AUTHORITIES["public"] = at
secret = identity.Identity("client-secret", "t", "c", ("env", "S"))
identity.maker(secret, "public", {**variables, "S": "x"})().get_token("https://x/.default")
""",
    "sign-in by azure-identity, default": """
import os
os.environ.update(AZURE_TENANT_ID="t", AZURE_CLIENT_ID="c", AZURE_CLIENT_SECRET="x")
from irmsentinel.azure import identity
identity.AUTHORITIES["public"] = at
identity.maker(identity.Identity(), "public", variables)().get_token("https://x/.default")
""",
    "Log Analytics": """
from azure.core.credentials import AccessToken
from irmsentinel.azure.bounded_transport import Network
from irmsentinel.azure.workspace import Workspace
class Token:
    def get_token(self, *_, **__): return AccessToken("t", 2**40)
Workspace("w", Token(), at + "/v1", Network.of(variables), deadline=5.0).query("print 1")
""",
    "Log Analytics ingestion": """
from irmsentinel.azure.ingestion import IngestionTransport
from irmcore.http.upload import Upload
import io
url = at + "/dataCollectionRules/dcr-1/streams/Custom-x"
upload = Upload(url=url, token="t", file_name="f", content_type="application/json", content=io.BytesIO(b"[]"),
                length=2, deadline=5.0)
print(IngestionTransport(ca_file=ca, proxy=proxy).post(upload, lambda: None))
""",
    "Microsoft Graph": """
from azure.core.credentials import AccessToken
from azure.core.rest import HttpRequest
from irmsentinel.azure.graph_client import READ_USERS, GraphClient
from irmsentinel.azure.bounded_transport import Network
class Token:
    def get_token(self, *_, **__): return AccessToken("t", 2**40)
client = GraphClient(at, Token, Network.of(variables), deadline=5.0)
client._send(HttpRequest("GET", at + "/v1.0/users"), None)
""",
    "Management API": """
from irmsentinel.collector.http import PooledHttp
PooledHttp(1, ca_file=ca, proxy=proxy, deadline=5.0).request("GET", at, "t")
""",
}


class Listener:
    """Accepts connections and closes them; counts them."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.met = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                met, _ = self._socket.accept()
            except OSError:
                return
            self.met += 1
            met.close()

    def close(self) -> None:
        """Stop."""
        self._socket.close()


@pytest.fixture
def listeners() -> Iterator[tuple[Listener, Listener, Listener]]:
    """The service, irmexport's proxy, and the proxy of the environment."""
    made = (Listener(), Listener(), Listener())
    yield made
    for one in made:
        one.close()


def run(code: str, at: str, proxy: str | None, hostile: str, tmp_path: Path) -> None:
    """Run a client in an environment that would lead it astray; how it ends does not matter."""
    variables = {"IRMEXPORT_PROXY": proxy or ""}
    head = f"at, proxy, ca, variables = {at!r}, {proxy!r}, None, {variables!r}\n"
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY")
    bundles = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    astray = {**dict.fromkeys(names, hostile), **dict.fromkeys(bundles, str(tmp_path / "none.pem"))}
    (tmp_path / ".netrc").write_text("default login a password b\n")
    done = subprocess.run(
        [sys.executable, "-c", head + code],
        env={**os.environ, **astray, "HOME": str(tmp_path), "NO_PROXY": "", "no_proxy": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert "none.pem" not in done.stderr + done.stdout
    assert "ImportError" not in done.stderr
    assert "NameError" not in done.stderr


@pytest.mark.parametrize("client", CLIENTS)
def test_the_environment_leads_no_client_astray(
    client: str, listeners: tuple[Listener, Listener, Listener], tmp_path: Path
) -> None:
    """Without a proxy in its settings a client contacts the service itself; with one, that proxy alone."""
    service, own, hostile = listeners
    at = service.url.replace("http:", "https:")
    run(CLIENTS[client], at, None, hostile.url, tmp_path)
    # azure-identity first asks Microsoft's login host whether it knows the authority.
    assert (service.met > 0) == ("azure-identity" not in client)
    assert (own.met, hostile.met) == (0, 0)
    before = service.met
    run(CLIENTS[client], at, own.url, hostile.url, tmp_path)
    assert (service.met, own.met > 0, hostile.met) == (before, True, 0)


def test_a_ca_file_that_others_may_change(tmp_path: Path) -> None:
    """Whoever writes to it decides who gets secret, token and rows: no client uses it."""
    file = tmp_path / "ca.pem"
    file.write_text("x")
    file.chmod(0o666)
    with pytest.raises(ConfigurationError, match="other users may change the CA file"):
        TokenHttp(ca_file=str(file), proxy=None, deadline=5.0)
    with pytest.raises(ConfigurationError, match="other users may change the CA file"):
        Network(ca_file=str(file)).transport(5.0)
    text = profiles.shipped_text("leaver-prediction").replace("_id: 0", "_id: 1")
    connector = replace(profiles.parse(text, "p").connector, ca_file=str(file))
    with pytest.raises(ConfigurationError, match="other users may change the CA file"):
        connections.service(connections.Connection("p", connector), lambda: Secret("x"))


def test_the_settings_of_clients_without_a_settings_file() -> None:
    """IRMEXPORT_PROXY and IRMEXPORT_CA_FILE, and nothing else."""
    assert Network.of({"HTTPS_PROXY": "http://x", "REQUESTS_CA_BUNDLE": "/x"}) == Network()
    given = {"IRMEXPORT_PROXY": "http://p:1", "IRMEXPORT_CA_FILE": "/ca.pem"}
    assert Network.of(given) == Network("http://p:1", "/ca.pem")
    assert Network.of(dict.fromkeys(given, "")) == Network()
