"""Requests and faults as a client's socket sees them."""

from __future__ import annotations

import socket
import ssl
import time
import warnings
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msal
import pytest
import requests
from irmemulator.faults import Fault
from irmemulator.settings import Options

from tests.common.irmemulator.client import (
    APP,
    JOB,
    TENANT,
    TWO_ROWS,
    Client,
    form,
    is_reset,
    read_all,
)
from tests.fakes.emulated_faults import page_fault

BODY = form(TWO_ROWS)


def kept(client: Client) -> int:
    """How many records of JOB were kept."""
    return len(client.emulator.records(JOB.job_id))


@pytest.mark.parametrize("status", [200, 204, 207, 302, 400, 408, 429, 500, 503, 504, 599])
def test_status(client: Client, status: int) -> None:
    """Any status can be sent, and nothing is kept."""
    client.emulator.faults.next(Fault(status=status))
    reply = client.upload(allow_redirects=False)
    assert reply.status_code == status
    assert kept(client) == 0
    (upload,) = client.emulator.uploads
    assert (upload.status, upload.fault, upload.records_saved) == (status, "status", 0)
    assert client.upload().status_code == 200


def test_status_with_records_kept(client: Client) -> None:
    """A gateway's error may hide that the records were kept."""
    client.emulator.faults.next(Fault(status=504, body="gateway timeout", keep=True))
    reply = client.upload()
    assert (reply.status_code, reply.text) == (504, "gateway timeout")
    assert kept(client) == 2


def test_status_with_headers(client: Client) -> None:
    """A status can have a Retry-After, a Location and other headers."""
    client.emulator.faults.next(
        Fault(
            status=307,
            location="https://elsewhere.example/",
            retry_after=30,
            headers=(("X-Why", "maintenance"),),
        )
    )
    reply = client.upload(allow_redirects=False)
    assert reply.headers["Location"] == "https://elsewhere.example/"
    assert (reply.headers["Retry-After"], reply.headers["X-Why"]) == ("30", "maintenance")


def test_delay_keeps_first(client: Client) -> None:
    """The records are kept before a delayed reply, so a client that times out does not know the outcome."""
    client.emulator.faults.next(Fault(delay=1.0))
    with pytest.raises(requests.exceptions.ReadTimeout):
        client.upload(timeout=0.3)
    assert kept(client) == 2


def test_delay_then_reply(client: Client) -> None:
    """A delayed reply is the true one."""
    client.emulator.faults.next(Fault(delay=0.2))
    begin = time.monotonic()
    assert client.upload().status_code == 200
    assert time.monotonic() - begin >= 0.2


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (Fault(reset_after_bytes=0), 0),
        (Fault(reset_after_bytes=10), 10),
        (Fault(reset_before_last_byte=True), len(BODY) - 1),
    ],
)
def test_reset_in_the_body(client: Client, fault: Fault, sent: int) -> None:
    """The connection is reset after this many bytes, without waiting for more."""
    client.emulator.faults.next(fault)
    with client.connection() as connection:
        connection.sendall(client.head(len(BODY)) + BODY[:sent])
        assert is_reset(connection)
    assert kept(client) == 0
    (upload,) = client.emulator.uploads
    assert (upload.status, upload.bytes, upload.fault) == (None, sent, fault.label)
    assert upload.job_id == JOB.job_id


@pytest.mark.parametrize(("keep", "count"), [(None, 2), (True, 2), (False, 0)])
def test_reset_after_last_byte(client: Client, keep: bool | None, count: int) -> None:  # noqa: FBT001 - a case
    """After a reset behind the whole body the client cannot know whether the records were kept."""
    client.emulator.faults.next(Fault(reset_after_last_byte=True, keep=keep))
    with client.connection() as connection:
        connection.sendall(client.head(len(BODY)) + BODY)
        assert is_reset(connection)
    assert kept(client) == count
    (upload,) = client.emulator.uploads
    assert (upload.status, upload.records_saved) == (None, count)


def test_requests_meets_a_reset(client: Client) -> None:
    """Requests reports a reset as a connection error."""
    client.emulator.faults.next(Fault(reset_after_last_byte=True))
    with pytest.raises(requests.exceptions.ConnectionError):
        client.upload()
    assert kept(client) == 2


@pytest.mark.parametrize(("keep", "count"), [(None, 0), (True, 2)])
def test_close_without_reply(client: Client, keep: bool | None, count: int) -> None:  # noqa: FBT001 - a case
    """The connection is closed in order, without a reply."""
    client.emulator.faults.next(Fault(close_without_reply=True, keep=keep))
    with client.connection() as connection:
        connection.sendall(client.head(len(BODY)) + BODY)
        assert read_all(connection) == b""
    assert kept(client) == count


@pytest.mark.parametrize("status", [401, 413])
def test_early_status(client: Client, status: int) -> None:
    """The reply comes before the body is sent, and the connection is closed."""
    client.emulator.faults.next(Fault(early_status=status, linger=0.1))
    with client.connection() as connection:
        connection.sendall(client.head(1_000_000))
        reply = read_all(connection)
    assert reply.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nConnection: close\r\n" in reply
    (upload,) = client.emulator.uploads
    assert (upload.status, upload.bytes, upload.fault) == (status, 0, "early_status")


def test_requests_reads_an_early_status(client: Client) -> None:
    """A client that sends its whole body first still gets the early reply."""
    client.emulator.faults.next(Fault(early_status=413))
    assert client.upload("x" * 8_000_000).status_code == 413


def test_early_status_without_linger(client: Client) -> None:
    """Without lingering, a client that is sending a long body loses its connection."""
    client.emulator.faults.next(Fault(early_status=413, linger=0))
    with client.connection() as connection:
        connection.sendall(client.head(64_000_000))
        with pytest.raises((ConnectionResetError, BrokenPipeError, ssl.SSLError)):
            connection.sendall(b"x" * 64_000_000)


def test_drip(client: Client) -> None:
    """The reply comes byte by byte, so no single read times out."""
    client.emulator.faults.next(Fault(drip=0.001))
    with client.connection() as connection:
        connection.sendall(client.head(len(BODY), "Connection: close") + BODY)
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
    assert b"".join(parts).startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(parts) > 100
    assert kept(client) == 2


def test_expect_100_continue(client: Client) -> None:
    """A client that waits for 100 Continue before it sends its body, as .NET does, gets it."""
    with client.connection() as connection:
        connection.sendall(client.head(len(BODY), "Expect: 100-continue", "Connection: close"))
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_early_status_replaces_100_continue(client: Client) -> None:
    """A client that waits for 100 Continue can be refused before it sends its body."""
    client.emulator.faults.next(Fault(early_status=401, linger=0.1))
    with client.connection() as connection:
        connection.sendall(client.head(len(BODY), "Expect: 100-continue"))
        assert read_all(connection).startswith(b"HTTP/1.1 401 ")


def test_a_client_that_disconnects_within_the_body(client: Client) -> None:
    """A truncated body saves nothing, and the upload is recorded without a reply."""
    with client.connection() as connection:
        connection.sendall(client.head(len(BODY)) + BODY[:20])
    wait_for(lambda: len(client.emulator.uploads) == 1)
    (upload,) = client.emulator.uploads
    assert (upload.status, upload.code, upload.bytes) == (None, "body_incomplete", 20)
    assert kept(client) == 0


def test_hung_clients_block_nobody(client_with: Callable[..., Client]) -> None:
    """Clients that hang before, during and after the handshake delay no others and are dropped."""
    client = client_with(Options(handshake_timeout=0.3, idle_timeout=0.3))
    with (
        client.connection() as idle,
        client.connection() as halfway,
        bare_connection(client) as silent,
    ):
        halfway.sendall(client.head(len(BODY)) + BODY[:20])
        assert client.upload().status_code == 200
        assert silent.recv(1) == b""
        assert read_all(idle) == b""
        assert read_all(halfway) == b""


def test_plain_http_gets_no_reply(client: Client) -> None:
    """A client without TLS gets no reply."""
    with bare_connection(client) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            reply = connection.recv(65_536)
        except ConnectionResetError:
            reply = b""
        assert b"HTTP" not in reply  # an alert of TLS at most


def test_tls_12_and_not_11(client: Client) -> None:
    """TLS 1.2 is accepted, TLS 1.1 is not."""
    assert handshake(client, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        handshake(client, ssl.TLSVersion.TLSv1_1)


def handshake(client: Client, version: ssl.TLSVersion) -> str | None:
    """The version of a handshake that offers only this one."""
    context = ssl.create_default_context(cafile=str(client.emulator.ca_file))
    # Else OpenSSL's own level would forbid TLS 1.1, and the server would not be asked.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    with (
        bare_connection(client) as bare,
        context.wrap_socket(bare, server_hostname="localhost") as connection,
    ):
        return connection.version()


def test_connections_are_kept_and_counted(client: Client) -> None:
    """One connection carries several requests, and each accepted connection counts."""
    assert client.emulator.connections == 0
    for _ in range(3):
        assert client.upload(token="unknown").status_code == 401
    assert client.emulator.connections == 1
    with bare_connection(client):
        wait_for(lambda: client.emulator.connections == 2)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Transfer-Encoding: chunked"], 411),
        (["Content-Length: x"], 400),
        (["Content-Length: -1"], 400),
        (["Content-Length: 1", "Content-Length: 2"], 400),
        (["Content-Length: 99999999999"], 413),
    ],
)
def test_bodies_that_cannot_be_read(client: Client, headers: list[str], status: int) -> None:
    """A body without one valid length is refused, and the connection is closed."""
    with client.connection() as connection:
        head = ["POST /api/signals HTTP/1.1", "Host: localhost", *headers, "", ""]
        connection.sendall("\r\n".join(head).encode())
        assert connection.recv(65_536).startswith(f"HTTP/1.1 {status} ".encode())
        connection.shutdown(socket.SHUT_WR)
    assert client.emulator.uploads[0].records_saved == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/signals", 405),
        ("POST", "/uploads", 405),
        ("POST", "/records", 405),
        ("DELETE", "/uploads", 405),
        ("GET", f"/{TENANT}/oauth2/v2.0/token", 405),
        ("POST", f"/{TENANT}/v2.0/.well-known/openid-configuration", 405),
        ("GET", "/nothing", 404),
        ("GET", "//[", 404),
        ("PUT", "/uploads", 405),
        ("TRACE", "/", 501),
    ],
)
def test_other_paths_and_methods(client: Client, method: str, path: str, status: int) -> None:
    """Unknown paths and methods are a 404, 405 or 501."""
    with client.connection() as connection:
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert read_all(connection).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("path", ["/records", "/uploads", "/control/faults"])
def test_other_hosts_see_nothing(client: Client, path: str) -> None:
    """A request under another host name, as in DNS rebinding, gets no page and no data."""
    assert client.get(path, headers={"Host": "evil.example"}).status_code == 421
    assert client.get(path, headers={"Host": "localhost:1"}).status_code == 200


@pytest.mark.parametrize("path", ["/records", "/uploads", "/control/faults"])
@pytest.mark.parametrize("given", ["", "Basic", "Basic !", "Basic eDo=", "Basic eDp3cm9uZw==", "Bearer x"])
def test_another_user_of_the_machine_sees_nothing(client: Client, path: str, given: str) -> None:
    """Rows are shown, and faults are set, only to who has the emulator's control token."""
    client.upload()
    headers = {"Authorization": given} if given else {}
    reply = client.session.get(client.emulator.url + path, headers=headers, timeout=10)
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "no_control_token")
    assert reply.headers["WWW-Authenticate"].startswith("Basic ")
    set_ = client.session.post(client.emulator.url + "/control/faults", json={"status": 500}, timeout=10)
    assert (set_.status_code, client.emulator.faults.pending) == (401, ())


# The token endpoint, as MSAL meets it.


def msal_token(client: Client) -> Any:
    """MSAL's first answer to a new application."""
    return msal.ConfidentialClientApplication(
        APP.app_id,
        client_credential=APP.secret,
        authority=client.emulator.authority(TENANT),
        instance_discovery=False,
        http_client=client.session,
    ).acquire_token_for_client([f"{Options().resource}/.default"])


def test_token_status(client: Client) -> None:
    """MSAL passes a 429 of the token endpoint to its caller, and raises for a 5xx."""
    client.emulator.faults.next(Fault(on="token", status=429, retry_after=3))
    assert "emulated fault" in msal_token(client)["error_description"]
    client.emulator.faults.next(Fault(on="token", status=503))
    with pytest.raises(msal.exceptions.MsalServiceError):
        msal_token(client)
    assert "access_token" in msal_token(client)
    assert client.emulator.entra.token_requests == 3


def test_token_html(client: Client) -> None:
    """A page instead of a token is not JSON."""
    client.emulator.faults.next(page_fault("token"))
    with pytest.raises(ValueError, match="Expecting value"):
        msal_token(client)


def test_token_without_access_token(client: Client) -> None:
    """A 200 without a token has no access_token."""
    client.emulator.faults.next(Fault(on="token", status=200, body='{"token_type": "Bearer"}'))
    result = msal_token(client)
    assert "access_token" not in result
    assert "error" not in result


@pytest.mark.parametrize(
    "fault",
    [
        Fault(on="token", reset_after_bytes=0),
        Fault(on="token", reset_after_last_byte=True),
        Fault(on="token", close_without_reply=True),
    ],
)
def test_token_connection_lost(client: Client, fault: Fault) -> None:
    """The connection to the token endpoint can be lost, too."""
    client.emulator.faults.next(fault)
    with pytest.raises(requests.exceptions.ConnectionError):
        msal_token(client)


def test_discovery_fault(client: Client) -> None:
    """Discovery can fail independently."""
    client.emulator.faults.next(Fault(on="discovery", status=503))
    with pytest.raises(msal.exceptions.MsalServiceError):
        msal_token(client)
    assert client.emulator.entra.token_requests == 0


def test_an_upload_meets_a_sign_in_page(client: Client) -> None:
    """A proxy's page with a 200 keeps nothing."""
    client.emulator.faults.next(page_fault())
    reply = client.upload()
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert kept(client) == 0


def bare_connection(client: Client) -> socket.socket:
    """A TCP connection without TLS."""
    address = urlsplit(client.emulator.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def wait_for(true: Callable[[], bool]) -> None:
    """Wait until it is true, 5 s at most."""
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def test_no_token_and_no_secret(client: Client) -> None:
    """No document has a token or a secret, and none may be kept, framed or run."""
    token = client.token()
    client.upload(token=token)
    for path in ("/records", "/uploads", "/control/faults"):
        reply = client.get(path)
        assert token not in reply.text
        assert APP.secret not in reply.text
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert reply.headers["Cache-Control"] == "no-store"
