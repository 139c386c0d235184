from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from irmcli.object_store.address import parse
from irmcli.object_store.object_store import ObjectStore

from tests.fakes.cloud_servers import Azurite, Token


class IdentityEndpoint(http.server.BaseHTTPRequestHandler):
    """The endpoint of a managed identity in App Service and Functions.

    learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
    """

    asked: ClassVar[list[dict[str, list[str]]]] = []

    def do_GET(self) -> None:
        assert self.headers["X-IDENTITY-HEADER"] == "header-of-the-test"
        query = parse_qs(urlsplit(self.path).query)
        self.asked.append(query)
        token = Token().get_token()
        answer = {
            "access_token": token.token,
            "expires_on": str(token.expires_on),
            "resource": query["resource"][0],
            "token_type": "Bearer",
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Not on the test's output."""


@pytest.fixture
def managed_identity(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, list[str]]]]:
    """A process that runs in a Function with a managed identity."""
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), IdentityEndpoint) as server:
        threading.Thread(target=lambda: server.serve_forever(0.05), daemon=True).start()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header-of-the-test")
        IdentityEndpoint.asked.clear()
        yield IdentityEndpoint.asked
        server.shutdown()


@pytest.mark.needs("azurite")
def test_a_managed_identity_is_enough(azurite: Azurite, managed_identity: list[dict[str, list[str]]]) -> None:
    """No account key: azure-identity finds the identity, and its token is used until it expires."""
    store = ObjectStore(parse(azurite.address("identity")), {"IRMEXPORT_CA_FILE": str(azurite.ca_file)})
    assert store.create("a", b"x")
    assert store.get("a") == b"x"
    assert [query["resource"] for query in managed_identity] == [["https://storage.azure.com"]]
