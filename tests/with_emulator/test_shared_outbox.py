"""The commands with an outbox on a store that two machines share, on Azurite and on moto's S3, over HTTPS."""

from __future__ import annotations

import http.server
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmcli.object_store import address
from irmcli.object_store.object_store import ObjectStore
from irmcore.delivery import connection as connections
from irmcore.disk import PosixDisk
from irmcore.intake.accept import accept
from irmcore.outbox import Outbox, states
from irmcore.outbox.transitions import move_to_done, write_ended
from irmcore.shaping.readers import csv_table

from tests.common.irmcli.object_store.test_failures import Answers
from tests.fakes.chaos import ChaosProxy, Weather
from tests.fakes.clock import FakeClock
from tests.fakes.cloud_servers import CONTAINER, Azurite, MotoS3, Token
from tests.fakes.managed_identity import ManagedIdentity
from tests.with_emulator.connector import HEADER, ORIGIN, Rig, row

#: Runs a command on the machine of a name.
On = Callable[..., Result]


@pytest.fixture(params=[pytest.param("azurite", marks=pytest.mark.needs("azurite")), "s3"])
def server(request: pytest.FixtureRequest) -> Azurite | MotoS3:
    """A service that holds the outbox."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, (Azurite, MotoS3))
    return found


@contextmanager
def machines(
    rig: Rig, server: Azurite | MotoS3, monkeypatch: pytest.MonkeyPatch, *, container: str = CONTAINER
) -> Iterator[On]:
    """Machines that share an outbox at an address and have a state directory each."""
    monkeypatch.setenv("IRMEXPORT_OUTBOX", server.address(secrets.token_hex(8), container))
    monkeypatch.setenv("IRMEXPORT_CA_FILE", str(server.ca_file))
    monkeypatch.setenv("IRMEXPORT_PROFILES", str(rig.directory / "profiles"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.chdir(rig.directory)
    runner = CliRunner()

    def on(machine: str, *args: str) -> Result:
        monkeypatch.setenv("XDG_STATE_HOME", str(rig.directory / machine))
        result = runner.invoke(main, [*args, "--json"])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    token = Token().get_token().token
    with ManagedIdentity({None: "00000000"}, issue=lambda *_: token) as identity:
        for name, value in identity.environment().items():
            monkeypatch.setenv(name, value)
        yield on


def send(rig: Rig, file: str, *numbers: int) -> tuple[str, ...]:
    """The words that send a file with these rows."""
    path = Path(rig.directory, file)
    path.write_text("\r\n".join([HEADER, *map(row, numbers), ""]))
    return "send", str(path), "-p", "salesforce-dropbox", "--emulator", str(rig.directory / "emulator")


def test_what_one_machine_accepts_another_one_sends(
    rig: Rig, server: Azurite | MotoS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row once; status is the same on both, and rows that were sent elsewhere are skipped."""
    with machines(rig, server, monkeypatch) as on:
        queued = on("one", *send(rig, "a.csv", 1, 2), "--queue-only")
        assert queued.exit_code == 0, queued.output
        (status,) = json.loads(on("two", "status").stdout)
        assert (status["queued"], status["rows_queued"]) == (1, 2)
        drained = on("two", "drain")
        assert drained.exit_code == 0, drained.output
        assert rig.emulator.records_saved(rig.job) == 2
        again = on("two", *send(rig, "b.csv", 1, 2, 3))
        assert json.loads(again.stdout)["counts"]["skipped"] == 2, again.output
        (status,) = json.loads(on("one", "status").stdout)
        assert status["queued"] == 0
        assert status["last_run"] < status["last_receipt"], (
            "its own run, and the receipt of the other machine"
        )
        batch = json.loads(queued.stdout)["batches"][0]
        shown = on("one", "show", batch)
        assert shown.exit_code == 0, shown.output
        assert rig.emulator.records_saved(rig.job) == 3


def test_while_the_store_is_away_rows_stay_on_the_machine(
    rig: Rig, s3: MotoS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command says so and fails; status names the command that moves them, and a drain sends them."""
    proxy = ChaosProxy(("127.0.0.1", urlsplit(s3.url).port or 0))
    with proxy, machines(rig, s3, monkeypatch) as on:
        monkeypatch.setenv("IRMEXPORT_OUTBOX", f"s3://{CONTAINER}/away?endpoint={proxy.url}")
        assert on("one", *send(rig, "a.csv", 1), "--queue-only").exit_code == 0
        proxy.weather = Weather(up_cut=0)
        away = on("one", *send(rig, "b.csv", 1, 2), "--queue-only")
        assert away.exit_code == 1
        assert "kept on this machine, but not accepted into the outbox on the store yet" in away.output
        assert "`irmexport drain` moves them there" in away.output
        with monkeypatch.context() as function:
            function.setenv("FUNCTIONS_WORKER_RUNTIME", "python")
            lost = on("three", *send(rig, "c.csv", 1, 2), "--queue-only")
        assert "the rows were not accepted: " in lost.output
        assert "Then run the same command again" in lost.output
        proxy.weather = Weather()
        monkeypatch.setenv("XDG_STATE_HOME", str(rig.directory / "one"))
        status = CliRunner().invoke(main, ["status"])
        assert "1 batch of this machine, not at the address yet" in status.stdout
        drained = CliRunner().invoke(main, ["drain"])
        assert drained.exit_code == 0, drained.output
        assert "is accepted: 1 row, 1 skipped (sent or accepted elsewhere)" in drained.stdout
        assert rig.emulator.records_saved(rig.job) == 2


@pytest.mark.parametrize("command", [["clean-up"], ["drain"]], ids="-".join)
def test_promoted_rows_leave_the_machine_after_their_time(
    rig: Rig, s3: MotoS3, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Its directory is cleaned up as the outbox at the address is, by a command or once a day."""
    with machines(rig, s3, monkeypatch) as on:
        assert on("one", *send(rig, "a.csv", 1)).exit_code == 0
        (own,) = Path(rig.directory, "one").rglob("*/audit.log")
        assert list(own.parent.rglob("payload"))
        shutil.rmtree(own.parent)
        ago = FakeClock(time.time() - 10 * 86_400)
        outbox = Outbox(PosixDisk(), ago, str(own.parent))
        table = csv_table(io.BufferedReader(io.BytesIO(f"{HEADER}\r\n{row(1)}".encode())), name="a.csv")
        done = accept(table, rig.profile, outbox, ORIGIN, destination=connections.destination(rig.connection))
        (batch,) = map(outbox.get, done.batches)
        move_to_done(outbox, write_ended(outbox, batch, states.PROMOTED, "promoted"))
        assert list(own.parent.rglob("payload"))
        assert on("one", *command).exit_code == 0
        assert not list(own.parent.rglob("payload"))


def test_an_erasure_reaches_the_directory_of_the_machine(
    rig: Rig, s3: MotoS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps promoted rows for some days, beside the address."""
    with machines(rig, s3, monkeypatch) as on:
        assert on("one", *send(rig, "a.csv", 1)).exit_code == 0
        assert list(Path(rig.directory, "one").rglob("payload"))
        erased = on("one", "person", "erase", "user1@contoso.com", "--why", "request 17")
        assert erased.exit_code == 0, erased.output
        assert not list(Path(rig.directory, "one").rglob("payload"))
        assert json.loads(on("one", "person", "find", "user1@contoso.com").stdout) == []


def test_a_bucket_that_is_missing_is_named(rig: Rig, s3: MotoS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is accepted."""
    with machines(rig, s3, monkeypatch, container="missing-bucket") as on:
        done = on("one", *send(rig, "a.csv", 1), "--queue-only")
        assert done.exit_code == 2
        assert "the bucket missing-bucket does not exist" in done.output
        assert "irmexport never creates a bucket" in done.output
    assert not list(Path(rig.directory, "one").rglob("payload"))


def test_without_the_extra_its_installation_is_named(tmp_path: Path) -> None:
    """Before anything is read or written."""
    code = "import sys; sys.modules['obstore'] = None\nfrom irmcli.main import main\nmain()"
    words = [sys.executable, "-c", code, "--outbox", "az://account/container/x", "status"]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 2
    assert "pip install 'irmexport[cloud]'" in done.stderr


def test_an_outbox_moves_from_a_directory_to_the_store(
    rig: Rig, s3: MotoS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was queued is sent from there, what was sent is skipped, and the directory is retired."""
    with machines(rig, s3, monkeypatch) as on:
        there = os.environ["IRMEXPORT_OUTBOX"]
        monkeypatch.setenv("IRMEXPORT_OUTBOX", str(rig.directory / "outbox"))
        assert on("one", *send(rig, "a.csv", 1)).exit_code == 0
        assert on("one", *send(rig, "b.csv", 2), "--queue-only").exit_code == 0
        moved = on("one", "outbox", "move", "emulator-", there, "--why", "to the cloud")
        assert moved.exit_code == 0, moved.output
        assert json.loads(moved.stdout)["batches"] == 2
        assert "retired" in on("one", *send(rig, "c.csv", 3)).output
        monkeypatch.setenv("IRMEXPORT_OUTBOX", there)
        drained = on("two", "drain")
        assert drained.exit_code == 0, drained.output
        again = on("two", *send(rig, "d.csv", 1, 2, 3))
        assert json.loads(again.stdout)["counts"]["skipped"] == 2, again.output
        assert rig.emulator.records_saved(rig.job) == 3
        verified = on("two", "audit", "--verify")
        assert verified.exit_code == 0, verified.output


def test_an_outbox_moves_back_to_a_directory(rig: Rig, s3: MotoS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was queued is sent from there, what was sent is skipped, and the address is used no more."""
    with machines(rig, s3, monkeypatch) as on:
        assert on("one", *send(rig, "a.csv", 1)).exit_code == 0
        assert on("one", *send(rig, "b.csv", 2), "--queue-only").exit_code == 0
        refused = on("two", "outbox", "move", "emulator-", "az://account/container/x", "--why", "back")
        assert "by way of a directory" in refused.output
        directory = str(rig.directory / "outbox")
        moved = on("two", "outbox", "move", "emulator-", directory, "--why", "one machine is enough")
        assert moved.exit_code == 0, moved.output
        assert json.loads(moved.stdout)["batches"] == 2
        assert "retired" in on("one", *send(rig, "c.csv", 3)).output
        monkeypatch.setenv("IRMEXPORT_OUTBOX", directory)
        again = on("two", *send(rig, "d.csv", 1, 2, 3))
        assert json.loads(again.stdout)["counts"]["skipped"] == 2, again.output
        assert rig.emulator.records_saved(rig.job) == 3
        verified = on("two", "audit", "--verify")
        assert verified.exit_code == 0, verified.output


BLOBS, BUCKET = f"az://account/{CONTAINER}/x", f"s3://{CONTAINER}/x"


@pytest.mark.parametrize(
    ("there", "reply", "code", "words"),
    [
        (BLOBS, (403, "AuthorizationPermissionMismatch"), 2, "the role Storage Blob Data Contributor on"),
        (BLOBS, (409, "BlobImmutableDueToPolicy"), 2, "a policy of immutable storage does not let"),
        (BLOBS, (404, "ContainerNotFound"), 2, f"the container {CONTAINER} does not exist"),
        (BLOBS, (503, "ServerBusy"), 1, "the store is busy (HTTP 503, ServerBusy)"),
        (BUCKET, (403, "AccessDenied"), 2, f"on the bucket {CONTAINER}"),
        (BUCKET, (404, "NoSuchBucket"), 2, f"the bucket {CONTAINER} does not exist"),
        (BUCKET, (503, "SlowDown"), 1, "the store is busy (HTTP 503, SlowDown)"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_store_that_refuses_says_why(  # noqa: PLR0917 - the columns of the table
    rig: Rig,
    s3: MotoS3,
    monkeypatch: pytest.MonkeyPatch,
    there: str,
    reply: tuple[int, str],
    code: int,
    words: str,
) -> None:
    """And the command says what became of the rows: on a host without a disk they are not accepted."""
    monkeypatch.setattr(Answers, "reply", reply)
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server,
        machines(rig, s3, monkeypatch) as on,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("IRMEXPORT_OUTBOX", f"{there}?endpoint={url}")
        disk = on("one", *send(rig, "a.csv", 1), "--queue-only")
        monkeypatch.setenv("FUNCTIONS_WORKER_RUNTIME", "python")
        function = on("two", *send(rig, "a.csv", 1), "--queue-only")
        server.shutdown()
    for done in (disk, function):
        assert (done.exit_code, words in done.output) == (code, True), done.output
        assert "batches" not in done.stdout
    kept = list(Path(rig.directory, "one").rglob("payload"))
    assert bool(kept) == ("the rows are kept on this machine, but not accepted" in disk.output)
    assert ("not accepted" in function.output) == bool(kept), "a refusal comes before anything is accepted"
    assert "kept on this machine" not in function.output


def test_a_key_that_was_deleted_is_named(rig: Rig, s3: MotoS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """With where a soft-deleted one may still be; the rows stay here."""
    with machines(rig, s3, monkeypatch) as on:
        assert on("one", *send(rig, "a.csv", 1), "--queue-only").exit_code == 0
        store = ObjectStore(address.parse(os.environ["IRMEXPORT_OUTBOX"]), os.environ)
        (key,) = [key for key in store.keys("") if "/files/key/" in key]
        store.delete(key)
        later = row(2).replace("2026-11-20", "2026-11-21")
        Path(rig.directory, "b.csv").write_text(f"{HEADER}\r\n{later}\r\n")
        words = ("-p", "salesforce-dropbox", "--emulator", str(rig.directory / "emulator"), "--queue-only")
        done = on("two", "send", "b.csv", *words)
    assert done.exit_code == 1
    assert "the rows are kept on this machine, but not accepted" in done.output
    assert "Restore this prefix of the store from its backup or its soft-deleted blobs" in done.output
