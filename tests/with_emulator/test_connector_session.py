"""A connector as every command uses it."""

from __future__ import annotations

import pytest
from irmcli.output import Output
from irmcli.session.connector_session import ConnectorSession
from irmcli.settings import Settings
from irmcore.disk import FleetingDisk, PosixDisk

from tests.with_emulator.connector import Rig, row


def test_one_sign_in_serves_every_delivery(rig: Rig) -> None:
    """`watch` delivers every few seconds with one session, which gets only one token."""
    settings = Settings.read(str(rig.directory / "outbox"))
    session = ConnectorSession(Output(as_json=True), settings, rig.profile, rig.connection)
    for number in (1, 2):
        rig.accept([row(number)])
        report, code = session.deliver()
        assert (report.sent, code) == (1, 0)
    assert rig.emulator.entra.token_requests == 1


@pytest.mark.parametrize(
    ("outbox", "runtime", "disk"),
    [
        ("az://account/container/prefix", "python", FleetingDisk),
        ("az://account/container/prefix", "", PosixDisk),
        ("/a/directory", "python", PosixDisk),
    ],
)
def test_only_a_function_with_its_outbox_on_a_store_does_not_wait_for_its_disk(
    outbox: str, runtime: str, disk: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are accepted once they are on the store. A directory outbox is all that there is of it."""
    monkeypatch.delenv("FUNCTIONS_WORKER_RUNTIME", raising=False)
    if runtime:
        monkeypatch.setenv("FUNCTIONS_WORKER_RUNTIME", runtime)
    assert type(Settings.read(outbox).disk) is disk
