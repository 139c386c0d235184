"""The border to the network: every failure has one of our names, and no text of a library passes."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests
import urllib3
from irmcore.http.failures import to_failure
from irmcore.http.outcome import Failure, Reply
from irmcore.http.upload import TAIL_BYTES, Body, HttpsTransport, Upload
from irmemulator.faults import Fault

from tests.with_emulator.connector import Rig, row

TOKEN = "a-token-that-must-not-be-shown"


def upload(url: str, content: bytes = b"a,b\r\n1,2\r\n", deadline: float = 5.0) -> Upload:
    """An upload of a small file."""
    return Upload(
        url=url,
        token=TOKEN,
        file_name="rows.csv",
        content_type="text/csv",
        content=io.BytesIO(content),
        length=len(content),
        deadline=deadline,
    )


def transport(ca_file: str | None = None, proxy: str | None = None) -> HttpsTransport:
    """The real transport."""
    return HttpsTransport(ca_file=ca_file, proxy=proxy, user_agent="tests")


@contextmanager
def listener(answer: bytes | None) -> Iterator[int]:
    """A TCP server on loopback that replies to its first request with ``answer`` and closes."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(10)

        def serve() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with closing(connection):
                connection.settimeout(5)
                if answer is not None:
                    connection.recv(65_536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def unused_port() -> int:
    """A port on loopback where nothing listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        return port


def never() -> None:
    """A commit callback that must not be called."""
    raise AssertionError("nothing may be committed")


def test_no_file_can_know_the_boundary() -> None:
    """Two bodies of one file have different boundaries, so a row cannot end the part and begin another."""
    bodies = [Body(upload("https://localhost"), lambda: None) for _ in range(2)]
    assert bodies[0].boundary != bodies[1].boundary
    for body in bodies:
        assert len(body.boundary) >= 32
        text = b"".join(body).decode()
        assert text.startswith(f"--{body.boundary}\r\n")
        assert text.endswith(f"\r\n--{body.boundary}--\r\n")


def test_a_name_that_does_not_resolve() -> None:
    """A host without an address is `dns`, and nothing was committed."""
    outcome = transport().post(upload("https://no-such-host.invalid/api/signals"), never)
    assert outcome == Failure("dns", committed=False)


def test_a_port_where_nothing_listens() -> None:
    """A refused connection is `refused`."""
    outcome = transport().post(upload(f"https://127.0.0.1:{unused_port()}/"), never)
    assert outcome == Failure("refused", committed=False)


def test_a_certificate_that_is_not_trusted(rig: Rig) -> None:
    """A server of another authority is `tls`, before any byte of the body."""
    outcome = transport().post(upload(f"{rig.emulator.url}/api/signals"), never)
    assert outcome == Failure("tls", committed=False)


def test_what_speaks_no_tls() -> None:
    """A plain HTTP server where TLS is expected is `tls`."""
    with listener(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        outcome = transport().post(upload(f"https://127.0.0.1:{port}/"), never)
    assert outcome == Failure("tls", committed=False)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy-auth"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "proxy"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "proxy"),
    ],
)
def test_a_proxy_that_refuses(answer: bytes, kind: str) -> None:
    """A proxy that wants a sign-in is `proxy-auth`; one that refuses CONNECT is `proxy`."""
    with listener(answer) as port:
        outcome = transport(proxy=f"http://127.0.0.1:{port}").post(upload("https://host.invalid/"), never)
    assert outcome == Failure(kind, committed=False)


def test_a_proxy_that_is_not_there() -> None:
    """A proxy that cannot be reached is `proxy`."""
    proxy = f"http://127.0.0.1:{unused_port()}"
    outcome = transport(proxy=proxy).post(upload("https://host.invalid/"), never)
    assert outcome == Failure("proxy", committed=False)


def test_a_server_that_accepts_and_says_nothing() -> None:
    """A TLS handshake that never completes ends at the deadline."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        outcome = transport().post(upload(f"https://127.0.0.1:{port}/", deadline=0.5), never)
    assert outcome == Failure("timeout", committed=False)


def test_the_environment_does_not_decide_whom_to_trust(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """REQUESTS_CA_BUNDLE, a proxy variable and ~/.netrc do not overrule the profile."""
    empty = tmp_path / "none.pem"
    empty.write_text("")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(empty))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("NETRC", str(netrc))
    rig.accept([row(1)])
    assert rig.drain().sent == 1


def test_the_token_is_not_sent_where_a_redirect_points(rig: Rig, tmp_path: Path) -> None:
    """A redirect to another host is not followed: that host sees no connection."""
    (tmp_path / "other").mkdir()
    other = Rig(tmp_path / "other")
    other.start()
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(status=307, location=f"{other.emulator.url}/api/signals"))
    rig.drain()
    assert other.emulator.connections == 0
    assert len(rig.emulator.uploads) == 1
    other.emulator.stop()


def test_every_upload_has_a_connection_of_its_own(rig: Rig) -> None:
    """No connection is reused, as a stale one would put the next upload in doubt."""
    rig.accept([row(1)])
    rig.drain()
    before = rig.emulator.connections
    for number in (2, 3):
        rig.accept([row(number)])
        rig.drain()
    assert rig.emulator.connections - before == 2


def test_the_request_is_what_the_service_expects(rig: Rig) -> None:
    """One part named file with a file name, a known length, the job in the query, the bearer token."""
    token = rig.sender()._service.tokens.token()  # noqa: SLF001 - the token that the emulator knows
    columns = ",".join(column.header for column in rig.profile.columns)
    text = f"{columns}\r\nuser@contoso.com,a,High,1,2026-11-20T08:00:00Z,Dropbox,,\r\n".encode()
    made = replace(upload(f"{rig.emulator.url}/api/signals?jobid={rig.job}", text), token=token)
    commits: list[int] = []
    outcome = transport(str(rig.emulator.ca_file)).post(made, lambda: commits.append(1))
    assert isinstance(outcome, Reply)
    assert (outcome.status, outcome.committed, commits) == (200, True, [1])
    assert rig.emulator.uploads[0].records_saved == 1


def test_a_reset_in_the_body_is_not_in_doubt(rig: Rig) -> None:
    """A connection that is cut while the body is under way is `reset`, and nothing was committed."""
    token = rig.sender()._service.tokens.token()  # noqa: SLF001 - as above
    # More than the buffers of both ends can take, so that the cut comes before the tail.
    content = b"x" * 40_000_000
    made = replace(upload(f"{rig.emulator.url}/api/signals?jobid={rig.job}", content, 30.0), token=token)
    rig.emulator.faults.next(Fault(reset_after_bytes=1000))
    assert transport(str(rig.emulator.ca_file)).post(made, never) == Failure("reset", committed=False)


def test_what_commit_raises_ends_the_upload(rig: Rig) -> None:
    """If COMMIT cannot be made durable, the tail is never sent and the error is raised unchanged."""

    def full() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        transport(str(rig.emulator.ca_file)).post(upload(f"{rig.emulator.url}/api/signals"), full)
    assert rig.kept() == []


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 16_384, 100_000])
@pytest.mark.parametrize("block", [1, 64, 8192, -1])
def test_the_tail_follows_only_after_commit(size: int, block: int) -> None:
    """Before COMMIT the body lacks its tail; in total it has the announced length."""
    if block == 1 and size > 1000:
        block = 7
    given = 0
    at_commit: list[int] = []
    body = Body(upload("https://host.invalid/", b"x" * size), lambda: at_commit.append(given))
    content = b""
    while True:
        piece = body.read(block)
        if not piece:
            break
        content += piece
        given += len(piece)
    assert len(content) == len(body)
    assert at_commit == [len(body) - TAIL_BYTES]
    assert content.count(body.boundary.encode()) == 2
    assert b"x" * size in content


def _all_subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for found in kind.__subclasses__():
        yield found
        yield from _all_subclasses(found)


def test_every_error_of_the_libraries_has_a_word_of_ours() -> None:
    """This test, and not a user, detects a new exception class of requests or urllib3."""
    unnamed = {
        kind.__name__
        for base in (urllib3.exceptions.HTTPError, requests.exceptions.RequestException)
        for kind in _all_subclasses(base)
        if to_failure(_instance(kind), committed=False, expired=False).kind == "protocol"
    }
    assert unnamed == PROTOCOL


def _instance(kind: type[BaseException]) -> BaseException:
    """An instance made without the arguments of its class."""
    return kind.__new__(kind)


#: The errors that mean "the other end does not speak HTTP properly", or that our use cannot raise.
PROTOCOL = {
    "BodyNotHttplibCompatible",
    "ChunkedEncodingError",
    "ClosedPoolError",
    "ConnectionError",
    "ContentDecodingError",
    "DecodeError",
    "EmptyPoolError",
    "FullPoolError",
    "HTTPError",
    "HeaderParsingError",
    "HostChangedError",
    "IncompleteRead",
    "InvalidChunkLength",
    "InvalidHeader",
    "InvalidJSONError",
    "InvalidProxyURL",
    "InvalidSchema",
    "InvalidURL",
    "JSONDecodeError",
    "LocationParseError",
    "LocationValueError",
    "MaxRetryError",
    "MissingSchema",
    "PoolError",
    "ProxySchemeUnknown",
    "RequestError",
    "ResponseError",
    "RetryError",
    "StreamConsumedError",
    "TimeoutStateError",
    "TooManyRedirects",
    "URLRequired",
    "URLSchemeUnknown",
    "UnrewindableBodyError",
}
