"""A connector as every command uses it."""

from __future__ import annotations

from irmcli.output import Output
from irmcli.session.connector_session import ConnectorSession
from irmcli.settings import Settings

from tests.with_emulator.connector import Rig, row


def test_one_sign_in_serves_every_delivery(rig: Rig) -> None:
    """`watch` delivers every few seconds with one session, which gets only one token."""
    settings = Settings.read(str(rig.directory / "outbox"))
    session = ConnectorSession(Output(as_json=True), settings, rig.profile, rig.connection)
    for number in (1, 2):
        rig.accept([row(number)])
        report, code = session.deliver()
        assert (report.sent, code) == (1, 0)
    assert rig.emulator.token_requests == 1
