"""A client of the emulator for its tests: requests for whole requests, a bare socket for halves."""

from __future__ import annotations

import errno
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import DEFAULT_RESOURCE, App, Job

TENANT = "11111111-1111-4111-8111-111111111111"
APP = App(TENANT, "22222222-2222-4222-8222-222222222222", "s3cret~of-the-app")
OTHER_APP = App(TENANT, "33333333-3333-4333-8333-333333333333", "s3cret~of-the-other")
EXPIRED_APP = App(TENANT, "44444444-4444-4444-8444-444444444444", "s3cret~too-old", expired=True)
JOB = Job(
    job_id="55555555-5555-4555-8555-555555555555",
    app_id=APP.app_id,
    name="Detections",
    columns=("User", "Time", "Score"),
    user_column="User",
    time_column="Time",
)
ANY_HEADER = Job("66666666-6666-4666-8666-666666666666", APP.app_id, "Any header")
BOUNDARY = "b0undary"

TWO_ROWS = """\
User,Time,Score
sarad@contoso.com,2023-04-20T05:52:56.962686Z,6
bradh@contoso.com,2023-04-20T05:52:56.962686Z,9
"""


def form(file: bytes | str, *, name: str = "file", file_name: str | None = "data.csv") -> bytes:
    """A multipart body with one part."""
    content = file.encode() if isinstance(file, str) else file
    given = "" if file_name is None else f'; filename="{file_name}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{given}\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass
class Client:
    """A client of one emulator. It trusts that emulator's CA only and ignores the environment."""

    emulator: PurviewEmulator

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(self.emulator.ca_file)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.session.get(self.emulator.url + path, timeout=10, auth=self.control, **more)

    @property
    def control(self) -> tuple[str, str]:
        """What opens the emulator's page, documents and control."""
        return ("tester", self.emulator.control_token)

    def ask_token(self, app: App = APP, path: str = "v2.0/token", **other: str) -> Any:
        """The token endpoint's reply as JSON. `other` replaces fields of the form."""
        form = {
            "grant_type": "client_credentials",
            "client_id": app.app_id,
            "client_secret": app.secret,
            "scope": f"{DEFAULT_RESOURCE}/.default",
            **other,
        }
        url = f"{self.emulator.authority(app.tenant_id)}/oauth2/{path}"
        return self.session.post(url, data=form, timeout=10).json()

    def token(self, app: App = APP) -> str:
        return str(self.ask_token(app)["access_token"])

    def upload(
        self,
        file: bytes | str = TWO_ROWS,
        job: Job = JOB,
        *,
        token: str | None = None,
        **more: Any,
    ) -> requests.Response:
        """Post a file as Microsoft's script does."""
        return self.session.post(
            f"{self.emulator.url}/api/signals",
            params={"jobid": job.job_id},
            files={"file": ("data.csv", file)},
            headers={"Authorization": f"Bearer {token or self.token()}"},
            **{"timeout": 10, **more},
        )

    @contextmanager
    def connection(self) -> Iterator[ssl.SSLSocket]:
        """A bare TLS connection."""
        address = urlsplit(self.emulator.url)
        bare = socket.create_connection((address.hostname, address.port), timeout=10)
        context = ssl.create_default_context(cafile=str(self.emulator.ca_file))
        # Else an end without close_notify, or an RST, would look like an orderly one.
        with context.wrap_socket(
            bare, server_hostname=address.hostname, suppress_ragged_eofs=False
        ) as connection:
            yield connection

    def head(self, length: int, *more: str, token: str | None = None) -> bytes:
        """The head of an upload whose body has this many bytes."""
        lines = [
            f"POST /api/signals?jobid={JOB.job_id} HTTP/1.1",
            f"Host: {urlsplit(self.emulator.url).netloc}",
            f"Authorization: Bearer {token or self.token()}",
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
            f"Content-Length: {length}",
            *more,
        ]
        return "\r\n".join([*lines, "", ""]).encode()


def is_reset(connection: ssl.SSLSocket) -> bool:
    """Whether an RST arrives. It asks the system, because Python's ssl reports an RST as an end of file."""
    poll = select.poll()
    poll.register(connection, 0)  # errors only; a FIN is none
    poll.poll(5_000)
    error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return error == errno.ECONNRESET


def read_all(connection: ssl.SSLSocket) -> bytes:
    """Everything up to the server's orderly close."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)
