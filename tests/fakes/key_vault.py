"""A fake Azure Key Vault, and the Entra that signs in to it, behind a proxy.

The real clients reach it under Microsoft's names: IRMEXPORT_PROXY names the proxy and IRMEXPORT_CA_FILE the
throw-away CA, so nothing in irmexport knows that it is not Azure. It has the part of the REST API that reads
a secret (learn.microsoft.com/rest/api/keyvault). Server and token endpoint are irmemulator's.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from irmemulator.entra import Entra
from irmemulator.fault_queue import Faults
from irmemulator.http_messages import Reply, Request, error_reply, json_reply
from irmemulator.loopback_server import LoopbackServer
from irmemulator.routing import Route, unless_spoiled
from irmemulator.settings import App

from tests.fakes.tunnel import Tunnel

HOST = "irmexport-tests.vault.azure.net"
LOGIN = "login.microsoftonline.com"
TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT = "22222222-2222-4222-8222-222222222222"
RESOURCE = "https://vault.azure.net"

_SECRET = re.compile(r"/secrets/([^/]+)(?:/.*)?")


class KeyVaultService:
    """The vault and its sign-in. ``requests`` has the paths of requests to the vault."""

    refuse = staticmethod(error_reply)

    def __init__(self, secrets: dict[str, dict[str, Any]]) -> None:
        self.faults = Faults(("discovery", "token", "secret"))
        self.entra = Entra([App(TENANT, CLIENT, "made-up")], (RESOURCE,))
        self.requests: list[str] = []
        self._secrets = secrets

    def route(self, request: Request) -> Route | Reply:
        if request.headers.get("host") == LOGIN:
            # azure-identity asks here first whether it knows the login host.
            if request.path.endswith("/discovery/instance"):
                discovery = f"https://{LOGIN}/{TENANT}/v2.0/.well-known/openid-configuration"
                return json_reply(200, {"tenant_discovery_endpoint": discovery})
            return self.entra.route(request) or _error(404, "NotFound")
        self.requests.append(request.path)
        if self.entra.check(request.headers.get("authorization")) is None:
            challenge = f'Bearer authorization="https://{LOGIN}/{TENANT}", resource="{RESOURCE}"'
            return _error(401, "Unauthorized").with_headers(("WWW-Authenticate", challenge))
        return Route("secret", unless_spoiled(self._secret))

    def _secret(self, request: Request) -> Reply:
        match = _SECRET.fullmatch(request.path)
        found = self._secrets.get(match[1]) if match else None
        return _error(404, "SecretNotFound") if found is None else json_reply(200, found)


class KeyVault(LoopbackServer):
    """A vault with these secrets: name → the JSON that Key Vault answers. A context manager."""

    def __init__(self, directory: Path, secrets: dict[str, dict[str, Any]]) -> None:
        self.vault = KeyVaultService(secrets)
        super().__init__(self.vault, directory=directory / "key-vault", names=(HOST, LOGIN))

    def __enter__(self) -> Self:
        super().__enter__()
        self._proxy = Tunnel((HOST, LOGIN), int(self.url.rpartition(":")[2])).__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._proxy.__exit__(kind, error, trace)
        super().__exit__(kind, error, trace)

    def environment(self) -> dict[str, str]:
        """What a process needs to reach the vault, signed in by a client secret."""
        return {
            "IRMEXPORT_PROXY": self._proxy.url,
            "IRMEXPORT_CA_FILE": str(self.ca_file),
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_CLIENT_SECRET": "made-up",
        }


def _error(status: int, code: str) -> Reply:
    return error_reply(status, code, "The words of the service.")
