"""Azurite (Blob Storage) and moto (S3) on loopback, over HTTPS with a throw-away CA.

Neither checks what an identity may do, and neither is durable. Azurite is the npm package that
tests/fakes/azurite/package-lock.json locks; `make .venv/.azurite` installs it.
"""

from __future__ import annotations

import re
import secrets
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import jwt
import trustme
from azure.core.credentials import AccessToken

ACCOUNT = "devstoreaccount1"
CONTAINER = "outboxes"
#: Seconds until a server must listen, and after which it ends by itself.
START, LIFETIME = 120, 3_600
#: The credentials that moto accepts, in the environment, from where obstore reads them.
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "made-up"}
AZURITE = Path(sys.prefix) / "azurite/node_modules/azurite/dist/src/blob/main.js"


class CloudServer:
    """A server process. A context manager; ``url`` is known once it listens."""

    def __init__(self, directory: Path, command: Sequence[str], listens: str) -> None:
        """``command`` starts it; ``listens`` is the pattern of its URL in what it prints."""
        self._directory, self._command, self._listens = directory, command, re.compile(listens)
        self.ca_file = directory / "ca.pem"
        self.url = ""

    def certificate(self) -> tuple[str, str]:
        """The paths of a certificate for 127.0.0.1 and its key, which are written."""
        ca = trustme.CA(organization_name="irmexport, for tests only")
        leaf = ca.issue_cert("127.0.0.1")
        chain, key = self._directory / "chain.pem", self._directory / "key.pem"
        ca.cert_pem.write_to_path(str(self.ca_file))
        chain.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        return str(chain), str(key)

    def __enter__(self) -> Self:
        output = self._directory / "output"
        with output.open("w") as file:
            bounded = [shutil.which("timeout") or "timeout", str(LIFETIME), *self._command]
            self._process = subprocess.Popen(
                bounded, stdout=file, stderr=file, stdin=subprocess.DEVNULL, cwd=self._directory
            )
        end = time.monotonic() + START
        while (found := self._listens.search(output.read_text())) is None:
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__(None, None, None)
                raise RuntimeError(f"the server did not start: {output.read_text()[-2_000:]}")
            time.sleep(0.05)
        self.url = found[1]
        self.make_container()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)

    def make_container(self) -> None:
        """Make the container or bucket CONTAINER."""
        raise NotImplementedError

    def put(self, path: str, headers: dict[str, str]) -> None:
        """A PUT without a body."""
        request = urllib.request.Request(f"{self.url}/{path}", method="PUT", headers=headers, data=b"")  # noqa: S310
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(request, context=context, timeout=30) as reply:  # noqa: S310
            assert reply.status in (200, 201)


class Azurite(CloudServer):
    """Blob Storage with one account, which accepts any unexpired token of Entra ID."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, (), r"successfully listens on (https://\S+)")
        chain, key = self.certificate()
        node = shutil.which("node", path=str(Path(sys.executable).parent)) or "node"
        options = ("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--oauth", "basic")
        where = ("--blobHost", "127.0.0.1", "--blobPort", "0", "--cert", chain, "--key", key)
        self._command = [node, str(AZURITE), *options, *where]

    def make_container(self) -> None:
        authorization = f"Bearer {Token().get_token().token}"
        headers = {"Authorization": authorization, "x-ms-version": "2021-12-02"}
        self.put(f"{ACCOUNT}/{CONTAINER}?restype=container", headers)

    def address(self, prefix: str = "", container: str = CONTAINER) -> str:
        return f"az://{ACCOUNT}/{container}/{prefix}?endpoint={self.url}"


class MotoS3(CloudServer):
    """S3 for any access key."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, (), r"Running on (https://\S+)")
        chain, key = self.certificate()
        self._command = [
            sys.executable,
            "-m",
            "moto.server",
            "-H",
            "127.0.0.1",
            "-p",
            "0",
            "-c",
            chain,
            "-k",
            key,
        ]

    def make_container(self) -> None:
        credential = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"
        self.put(CONTAINER, {"Authorization": f"{credential}, SignedHeaders=host, Signature=0"})

    def address(self, prefix: str = "", container: str = CONTAINER) -> str:
        return f"s3://{container}/{prefix}?endpoint={self.url}"


class Token:
    """A TokenCredential whose tokens Azurite accepts; ``lifetime`` in seconds."""

    def __init__(self, lifetime: int = 3_600) -> None:
        self._lifetime = lifetime
        self.asked: list[tuple[str, ...]] = []

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        self.asked.append(scopes)
        now = int(time.time())
        issuer = "https://sts.windows.net/11111111-1111-4111-8111-111111111111/"
        claims = {"aud": "https://storage.azure.com", "iss": issuer, "iat": now - 600, "nbf": now - 600}
        token = jwt.encode({**claims, "exp": now + self._lifetime}, secrets.token_hex(32))
        return AccessToken(token, now + self._lifetime)

    def close(self) -> None:
        """Nothing to close."""
