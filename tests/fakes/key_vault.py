"""A stand-in of Azure Key Vault and of the host that signs in to it, behind a proxy of its own.

The real clients come to it under Microsoft's names: they are told of the proxy by HTTPS_PROXY and of its
throw-away CA by REQUESTS_CA_BUNDLE, so that nothing in irmexport knows that it is not Azure. It speaks the
part of the REST API that reading a secret needs (learn.microsoft.com/rest/api/keyvault).
"""

from __future__ import annotations

import http.server
import json
import select
import socket
import socketserver
import ssl
import threading
from pathlib import Path
from typing import Any

import trustme

HOST = "irmexport-tests.vault.azure.net"
LOGIN = "login.microsoftonline.com"
TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT = "22222222-2222-4222-8222-222222222222"
TOKEN = "a-token-for-the-vault"


class KeyVault:
    """A vault with these secrets: name → the JSON that Key Vault answers. A context manager."""

    def __init__(self, directory: Path, secrets: dict[str, dict[str, Any]]) -> None:
        self.secrets = secrets
        self.asked: list[str] = []
        self.status = 0  # what it answers instead, if not 0
        ca = trustme.CA()
        leaf = directory / "vault.pem"
        leaf.write_bytes(ca.issue_cert(HOST, LOGIN).private_key_and_cert_chain_pem.bytes())
        self.ca_file = directory / "vault-ca.pem"
        self.ca_file.write_bytes(ca.cert_pem.bytes())
        self._server = _server(self, leaf)
        self._proxy = _Proxy(("127.0.0.1", 0), self._server.server_address[1])

    def __enter__(self) -> KeyVault:  # noqa: PYI034 - Python 3.9 has no Self
        for server in (self._server, self._proxy):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._proxy, self._server):
            server.shutdown()
            server.server_close()

    def environment(self) -> dict[str, str]:
        """What a process needs to come here, signed in by a client secret."""
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self._proxy.server_address[1]}",
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_CLIENT_SECRET": "made-up",
        }


def _server(vault: KeyVault, leaf: Path) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if self.headers["Host"] == LOGIN:
                self._answer(200, _discovery(path))
                return
            vault.asked.append(self.path)
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                challenge = (
                    f'Bearer authorization="https://{LOGIN}/{TENANT}", resource="https://vault.azure.net"'
                )
                self._answer(401, _error("Unauthorized"), ("WWW-Authenticate", challenge))
            elif vault.status:
                self._answer(vault.status, _error("Forbidden"))
            else:
                name = path.split("/")[2]
                found = vault.secrets.get(name)
                self._answer(*((200, found) if found else (404, _error("SecretNotFound"))))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            token = {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}
            self._answer(200, token)

        def _answer(self, status: int, body: object, *headers: tuple[str, str]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in (("Content-Type", "application/json"), *headers):
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def _discovery(path: str) -> dict[str, object]:
    if path.endswith("/discovery/instance"):
        return {
            "tenant_discovery_endpoint": f"https://{LOGIN}/{TENANT}/v2.0/.well-known/openid-configuration"
        }
    root = f"https://{LOGIN}/{TENANT}"
    return {
        "token_endpoint": f"{root}/oauth2/v2.0/token",
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "issuer": f"{root}/v2.0",
    }


def _error(code: str) -> dict[str, object]:
    return {"error": {"code": code, "message": "The words of the service."}}


class _Proxy(socketserver.ThreadingTCPServer):
    """Takes CONNECT to either host, to the stand-in, whatever name was asked for; nothing else."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], target: int) -> None:
        super().__init__(address, _Tunnel)
        self.target = target


class _Tunnel(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        host = self.rfile.readline().split(b" ")[1].decode().partition(":")[0]
        while self.rfile.readline().strip():
            pass
        if host not in (HOST, LOGIN):
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.server.target)) as there:  # type: ignore[attr-defined]
            ends = {self.connection: there, there: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(65_536)
                    if not data:
                        return
                    ends[end].sendall(data)
