"""The commands with an outbox on a store that two machines share, on Azurite and on moto's S3, over HTTPS."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main

from tests.fakes.cloud_servers import Azurite, CloudServer, MotoS3, Token
from tests.fakes.managed_identity import ManagedIdentity
from tests.with_emulator.connector import HEADER, Rig, row

#: Runs a command on the machine of a name.
On = Callable[..., Result]


@pytest.fixture(params=[pytest.param("azurite", marks=pytest.mark.needs("azurite")), "s3"])
def server(request: pytest.FixtureRequest) -> CloudServer:
    """A service that holds the outbox."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, (Azurite, MotoS3))
    return found


@contextmanager
def machines(rig: Rig, server: CloudServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[On]:
    """Machines that share an outbox at an address and have a state directory each."""
    monkeypatch.setenv("IRMEXPORT_OUTBOX", server.address(secrets.token_hex(8)))  # type: ignore[attr-defined]
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
    rig: Rig, server: CloudServer, monkeypatch: pytest.MonkeyPatch
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
        batch = json.loads(queued.stdout)["batches"][0]
        shown = on("one", "show", batch)
        assert shown.exit_code == 0, shown.output
        assert rig.emulator.records_saved(rig.job) == 3
