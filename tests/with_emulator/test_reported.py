"""What users have reported of the service: no row is lost or sent twice, and the next step is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from irmcore.delivery.breaker_store import load_breaker
from irmemulator.reported import REPORTED

from tests.fakes.clock import FakeClock
from tests.with_emulator.connector import Rig, row


@pytest.mark.parametrize(
    ("name", "state", "reason", "mode"),
    [
        ("wrong-host", "RETRY", "http-403", "paused"),
        ("some-tenants", "RETRY", "http-403", "paused"),
        ("other-app", "RETRY", "http-403", "paused"),
        ("outage", "RETRY", "http-500", "open"),
        ("bad-request", "DEAD", "http-400", "open"),
    ],
)
def test_what_was_reported(rig: Rig, name: str, state: str, reason: str, mode: str) -> None:
    """The batch stays, with the reason; the connector pauses or waits; nothing was saved."""
    rig.accept([row(1)])
    rig.emulator.faults.until_cleared(REPORTED[name].fault)
    rig.drain()
    assert rig.states() == [(state, reason)]
    assert load_breaker(rig.outbox)[0].mode == mode
    assert rig.kept() == []
    assert REPORTED[name].source.startswith("https://github.com/microsoft/")


def test_an_outage_of_weeks_ends_with_one_upload_of_each_row(tmp_path: Path) -> None:
    """For weeks a drain every third day is refused; when the service is back, the rows arrive once."""
    rig = Rig(tmp_path)
    clock = rig.clock = FakeClock(time.time())
    rig.start()
    rig.accept([row(1), row(2)])
    rig.emulator.faults.until_cleared(REPORTED["outage"].fault)
    for _ in range(15):
        assert rig.drain().sent == 0
        clock.sleep(3 * 86_400)
    assert len(rig.emulator.uploads) >= 15
    assert rig.kept() == []
    rig.emulator.faults.clear()
    assert rig.drain().sent == 1
    assert rig.drain().sent == 0
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]
    rig.emulator.stop()


def test_the_reported_body_has_its_size() -> None:
    """A client that trusts small replies meets one of the reported size and type."""
    reply = REPORTED["bad-request"].fault.reply()
    assert reply is not None
    assert len(reply.body) == 1_516
