"""The server of an emulator from start to stop, by the example of the connector's emulator."""

from __future__ import annotations

import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator

from tests.common.irmemulator.client import (
    APP,
    JOB,
    Client,
    form,
)


def own_threads() -> list[str]:
    """The names of the emulator's live threads."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("irmemulator")]


def test_a_stop_leaves_nothing() -> None:
    """After a stop no thread, file or open connection is left, whatever was in progress."""
    with PurviewEmulator([APP], [JOB], lifetime=60) as emulator:
        client = Client(emulator)
        place = emulator.ca_file.parent
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert stat.S_IMODE((place / "server.pem").stat().st_mode) == 0o600
        emulator.faults.next(Fault(delay=600))
        body = form("x")
        with client.connection() as slow, client.connection() as idle, client.connection() as half:
            slow.sendall(client.head(len(body)) + body)
            half.sendall(client.head(len(body)) + body[:3])
            assert len(own_threads()) >= 4
            begin = time.monotonic()
            emulator.stop()
            assert time.monotonic() - begin < 2
            assert own_threads() == []
            assert not emulator.running
            idle.settimeout(1)
            with pytest.raises(OSError):  # noqa: PT011 - ended by a FIN without close_notify
                idle.recv(1)
        with pytest.raises(ConnectionRefusedError), client.connection():
            pass
        assert not place.exists()
        assert emulator.failures == ()
        emulator.stop()


def test_restarts_leave_no_thread(client_with: Callable[..., Client]) -> None:
    """After a restart clients find the same port, CA, tokens and records."""
    client = client_with()
    emulator, token = client.emulator, client.token()
    url, ca = emulator.url, emulator.ca_file.read_bytes()
    for times in range(1, 4):
        assert client.upload(token=token).status_code == 200
        emulator.stop()
        assert own_threads() == []
        assert emulator.records_saved(JOB.job_id) == 2 * times
        emulator.start()
        assert (emulator.url, emulator.ca_file.read_bytes()) == (url, ca)
    # The token's connection, used again by the first upload, and one after each restart.
    assert emulator.connections == 3
    assert len(emulator.uploads) == 3


def test_it_starts_once(client: Client) -> None:
    """A second start is refused and does not disturb the first."""
    with pytest.raises(RuntimeError, match="running already"):
        client.emulator.start()
    assert client.upload().status_code == 200


def test_a_lifetime_ends_it() -> None:
    """It stops by itself when its lifetime is over."""
    emulator = PurviewEmulator([APP], [JOB], lifetime=0.2)
    assert emulator.wait(0)
    with emulator:
        assert not emulator.wait(0)
        assert emulator.wait(5)
        assert not emulator.running
    assert own_threads() == []


def test_a_taken_port(client: Client) -> None:
    """A port that is in use is an error at the start and leaves no file."""
    port = int(client.emulator.url.rpartition(":")[2])
    other = PurviewEmulator([APP], [JOB], port=port)
    with pytest.raises(OSError, match="in use"):
        other.start()
    assert not other.ca_file.exists()
    other.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org", ""])  # noqa: S104
def test_loopback_only(host: str) -> None:
    """An address that others could reach is refused."""
    with pytest.raises(ValueError, match="loopback only"):
        PurviewEmulator([APP], [JOB], host=host)


@pytest.mark.parametrize(("host", "url"), [("localhost", "https://127.0.0.1:"), ("::1", "https://[::1]:")])
def test_loopback_by_its_names(client_with: Callable[..., Client], host: str, url: str) -> None:
    """The certificate is valid for 127.0.0.1, ::1 and localhost."""
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no ::1")
    client = client_with(host=host)
    assert client.emulator.url.startswith(url)
    assert client.upload().status_code == 200
    if host == "localhost":
        there = f"{client.emulator.url}/uploads".replace("127.0.0.1", "localhost")
        assert client.session.get(there, timeout=10, auth=client.control).status_code == 200


def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_other_cas_are_not_enough(client: Client) -> None:
    """A client that does not trust the throw-away CA gets no connection."""
    client.session.verify = True
    with pytest.raises(requests.exceptions.SSLError):
        client.get("/uploads")


def test_each_emulator_has_its_own_ca(client_with: Callable[..., Client]) -> None:
    """The CA of one emulator does not verify another."""
    one, other = client_with(), client_with()
    one.session.verify = str(other.emulator.ca_file)
    with pytest.raises(requests.exceptions.SSLError):
        one.get("/uploads")


def test_a_directory_stays(client_with: Callable[..., Client], tmp_path: Path) -> None:
    """With a directory, the CA and the server's key are there, also after the stop."""
    client = client_with(directory=tmp_path / "made")
    place = tmp_path / "made"
    assert client.emulator.ca_file == place / "ca.pem"
    assert stat.S_IMODE((place / "server.pem").stat().st_mode) == 0o600
    assert b"PRIVATE" not in client.emulator.ca_file.read_bytes()
    client.emulator.stop()
    assert sorted(path.name for path in place.iterdir()) == ["ca.pem", "server.pem"]


@pytest.mark.parametrize("lifetime", [0, -1, float("inf"), float("nan")])
def test_lifetimes_refused(lifetime: float) -> None:
    """A lifetime is a number of seconds."""
    with pytest.raises(ValueError, match="lifetime"):
        PurviewEmulator([APP], [JOB], lifetime=lifetime)


def test_it_prints_nothing(capfd: pytest.CaptureFixture[str], client: Client) -> None:
    """Nothing is printed, even for broken requests."""
    client.upload()
    client.get("/nothing")
    with client.connection() as connection:
        connection.sendall(b"\x00\xff broken\r\n\r\n")
    with client.connection() as connection:
        connection.sendall(client.head(100))
    client.emulator.stop()
    assert capfd.readouterr() == ("", "")
