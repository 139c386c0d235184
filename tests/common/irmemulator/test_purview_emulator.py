from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import App, Options

from tests.common.irmemulator.client import (
    ANY_HEADER,
    APP,
    EXPIRED_APP,
    JOB,
    OTHER_APP,
    TENANT,
    Client,
    form,
)


def own_threads() -> list[str]:
    """The names of the emulator threads that live."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("irmemulator")]


def test_a_stop_leaves_nothing() -> None:
    """After a stop there is no thread, no file and no open connection, whatever was going on."""
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
    """It can be stopped and started again, and clients find port, CA, tokens and records again."""
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
    """A second start is refused, and the first goes on."""
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
    """A port that is taken is an error at the start, and leaves no file."""
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
    """The certificate is good for 127.0.0.1, ::1 and localhost."""
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no ::1")
    client = client_with(host=host)
    assert client.emulator.url.startswith(url)
    assert client.upload().status_code == 200
    if host == "localhost":
        there = client.emulator.url.replace("127.0.0.1", "localhost")
        assert client.session.get(there, timeout=10).status_code == 200


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
        client.get("/")


def test_each_emulator_has_its_own_ca(client_with: Callable[..., Client]) -> None:
    """The CA of one emulator is not good for another."""
    one, other = client_with(), client_with()
    one.session.verify = str(other.emulator.ca_file)
    with pytest.raises(requests.exceptions.SSLError):
        one.get("/")


def test_a_directory_stays(client_with: Callable[..., Client], tmp_path: Path) -> None:
    """In a directory the CA and the server's key lie where they were asked for, also later."""
    client = client_with(directory=tmp_path / "made")
    place = tmp_path / "made"
    assert client.emulator.ca_file == place / "ca.pem"
    assert stat.S_IMODE((place / "server.pem").stat().st_mode) == 0o600
    assert b"PRIVATE" not in client.emulator.ca_file.read_bytes()
    client.emulator.stop()
    assert sorted(path.name for path in place.iterdir()) == ["ca.pem", "server.pem"]


def test_describe(client: Client) -> None:
    """The description is plain JSON with what a client needs, and without secrets."""
    description = client.emulator.describe()
    text = json.dumps(description)
    assert json.loads(text) == description
    assert not [app for app in (APP, OTHER_APP, EXPIRED_APP) if app.secret in text]
    assert description["url"] == client.emulator.url
    assert description["ca_file"] == str(client.emulator.ca_file)
    assert description["authorities"] == {TENANT: client.emulator.authority(TENANT)}
    assert description["apps"] == [
        {"tenant_id": TENANT, "app_id": app.app_id, "expired": app is EXPIRED_APP}
        for app in (APP, OTHER_APP, EXPIRED_APP)
    ]


def test_no_secret_in_a_repr(client: Client) -> None:
    """No repr of the public values has a secret, a token or a row."""
    token = client.token()
    client.upload(token=token)
    emulator = client.emulator
    shown = repr((emulator, emulator.uploads, emulator.records(JOB.job_id), APP, JOB, Options()))
    assert not [word for word in (token, APP.secret, "sarad") if word in shown]


def test_before_its_start() -> None:
    """Before its start it has no address, and says what to do."""
    emulator = PurviewEmulator([APP], [JOB])
    for question in (
        lambda: emulator.url,
        lambda: emulator.ca_file,
        lambda: emulator.authority(TENANT),
        emulator.describe,
    ):
        with pytest.raises(RuntimeError, match="call start"):
            question()
    assert (emulator.connections, emulator.uploads, emulator.running) == (0, (), False)
    emulator.stop()


@pytest.mark.parametrize("lifetime", [0, -1, float("inf"), float("nan")])
def test_lifetimes_refused(lifetime: float) -> None:
    """A lifetime is a number of seconds."""
    with pytest.raises(ValueError, match="lifetime"):
        PurviewEmulator([APP], [JOB], lifetime=lifetime)


def test_ids_are_given_once() -> None:
    """A job or an application given twice is refused, whatever the case of its id."""
    letters = "abcdefab-2222-4222-8222-222222222222"
    with pytest.raises(ValueError, match="same job"):
        PurviewEmulator([APP], [replace(JOB, job_id=letters), replace(ANY_HEADER, job_id=letters.upper())])
    with pytest.raises(ValueError, match="same app"):
        PurviewEmulator([App(TENANT, letters, "a"), App(TENANT, letters.upper(), "b")], [JOB])


def test_unknown_job(client: Client) -> None:
    """Records of a job that does not exist are an error, not an empty answer."""
    with pytest.raises(KeyError):
        client.emulator.records("5")


def test_uploads_at_the_same_time(client: Client) -> None:
    """Uploads of many connections at once are all kept and all on record."""
    token = client.token()
    workers = [
        threading.Thread(target=lambda: Client(client.emulator).upload(token=token)) for _ in range(20)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [upload.status for upload in client.emulator.uploads] == [200] * 20
    assert client.emulator.records_saved(JOB.job_id) == 40


def test_it_prints_nothing(capfd: pytest.CaptureFixture[str], client: Client) -> None:
    """Nothing is printed, also when requests are broken."""
    client.upload()
    client.get("/nothing")
    with client.connection() as connection:
        connection.sendall(b"\x00\xff broken\r\n\r\n")
    with client.connection() as connection:
        connection.sendall(client.head(100))
    client.emulator.stop()
    assert capfd.readouterr() == ("", "")


def test_it_imports_nothing_of_ours() -> None:
    """The package loads without the core and without requests and msal."""
    others = "{'irmcore', 'irmcli', 'irmsentinel', 'requests', 'msal'}"
    code = f"import sys, irmemulator.purview_emulator; print(sorted({others} & set(sys.modules)))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
