"""A fake of the endpoint that issues the tokens of managed identities in App Service and Functions.

learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference: a GET with the header
X-IDENTITY-HEADER, api-version=2019-08-01, a resource and, for a user-assigned identity, its client_id. Which
status an identity that is not assigned gets is unpublished; here 400, as the page says for bad requests.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

VERSION = "2019-08-01"


class ManagedIdentity:
    """The endpoint, over plain HTTP on loopback as in Azure. A context manager.

    ``identities`` has the object (principal) ID of each identity by client ID; None is the system-assigned
    one. ``issue`` makes the token for a client ID and a resource; without it, tokens are JWTs of ``issuer``.
    """

    def __init__(
        self,
        identities: dict[str | None, str],
        *,
        issuer: str = "https://login.microsoftonline.com/tenant/v2.0",
        issue: Callable[[str | None, str], str] | None = None,
    ) -> None:
        self.identities = identities
        self.issuer = issuer
        self.issue = issue or self._issue
        #: (client ID, resource) of each token that was issued.
        self.issued: list[tuple[str | None, str]] = []
        self._header = secrets.token_hex(8)
        self._key = rsa.generate_private_key(65_537, 2_048)
        self.public_key = (
            self._key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def __enter__(self) -> Self:
        identity = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, answer = identity.answer(self.path, self.headers.get("X-IDENTITY-HEADER"))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Not on the test's output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=lambda: self._server.serve_forever(0.05), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self) -> dict[str, str]:
        """The variables that the platform sets."""
        return {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self._server.server_address[1]}/msi/token",
            "IDENTITY_HEADER": self._header,
        }

    def answer(self, path: str, header: str | None) -> tuple[int, dict[str, str]]:
        """Status and answer of a request."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        client, resource = query.get("client_id"), query.get("resource")
        if header != self._header:
            return 401, {"message": "the header is missing or wrong"}
        if query.get("api-version") != VERSION or not resource or client not in self.identities:
            return 400, {"message": "no such version, resource or identity"}
        self.issued.append((client, resource))
        return 200, {
            "access_token": self.issue(client, resource),
            "expires_on": str(int(time.time()) + 86_400),
            "resource": resource,
            "token_type": "Bearer",
        }

    def _issue(self, client: str | None, resource: str) -> str:
        now = int(time.time())
        subject = self.identities[client]
        claims = {"iss": self.issuer, "sub": subject, "oid": subject, "aud": resource, "iat": now, "nbf": now}
        return jwt.encode({**claims, "exp": now + 86_400}, self._key, algorithm="RS256")
