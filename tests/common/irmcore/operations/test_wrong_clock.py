"""Nothing is deleted, delayed or shown on the word of a clock that has jumped."""

from __future__ import annotations

import pytest
from irmcore.http.outcome import Reply
from irmcore.operations import retention
from irmcore.operations.status import connector_status
from irmcore.outbox import audit_log

from tests.common.irmcore.outbox.outboxes import DAY, pass_days
from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row
from tests.fakes.powerloss import PowerLossDisk
from tests.fakes.transport import FakeTransport

LINES = [row(number) for number in range(4)]
YEAR = 365 * DAY


@pytest.fixture
def connector() -> Connector:
    """A connector with two batches that were sent, on a clock that can jump."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    made = Connector(disk, FakeClock())
    made.accept(LINES)
    assert made.drain(FakeTransport()).sent == 2
    return made


def jump(connector: Connector, seconds: float) -> None:
    """Let the wall clock alone jump."""
    clock = connector.clock
    assert isinstance(clock, FakeClock)
    clock.set_back(-seconds)


def cleaned(connector: Connector, *, checked_by: str = "") -> tuple[int, int, str]:
    """What a clean-up deletes, and what it says about the clock."""
    deleted, doubts = retention.clean_up([connector.outbox], clock_checked_by=checked_by)
    return deleted.payloads, deleted.batches, doubts.get("small", "")


def test_a_clock_two_years_ahead_deletes_nothing(connector: Connector) -> None:
    """A clean-up under such a clock keeps payloads and records, so no row is sent twice after a rebuild."""
    jump(connector, 2 * YEAR)
    payloads, batches, doubt = cleaned(connector)
    assert (payloads, batches) == (0, 0)
    assert doubt.startswith("nothing is on record between 2026-")
    assert doubt.endswith("so 2 expired batches were kept")
    connector.disk.remove_tree(f"{connector.outbox.path}/ledger")
    assert connector.accept(LINES).counts.skipped == 4
    assert connector.outbox.ready() == []


def test_records_of_a_wrong_clock_do_not_confirm_it(connector: Connector) -> None:
    """Also once rows were accepted under such a clock, what was recorded before keeps its records."""
    jump(connector, 2 * YEAR)
    for number in range(10, 13):
        connector.accept([row(number)])
        connector.drain(FakeTransport())
        assert cleaned(connector)[:2] == (0, 0)
        jump(connector, DAY)
    assert connector.accept(LINES).counts.skipped == 4


def test_time_that_certainly_passed_after_a_jump_counts(connector: Connector) -> None:
    """Days and years that are on record without a gap let batches from before the gap expire, too."""
    jump(connector, 2 * YEAR)
    pass_days(connector.outbox, 0.001)
    pass_days(connector.outbox, 8)
    assert cleaned(connector)[:2] == (2, 0)
    pass_days(connector.outbox, 390)
    assert cleaned(connector)[:2] == (0, 0)
    pass_days(connector.outbox, 5)
    assert cleaned(connector) == (0, 2, "")


def test_a_person_who_checked_the_clock_is_believed_and_recorded(connector: Connector) -> None:
    """A connector that was not used for long is cleaned up once a person says that the clock is right."""
    jump(connector, 2 * YEAR)
    assert cleaned(connector, checked_by="anna") == (0, 2, "")
    assert [(event["event"], event["by"]) for event in audit_log.read(connector.outbox) if "by" in event] == [
        ("clock-checked", "anna")
    ]


def test_a_connector_that_rests_for_weeks_needs_nobody(connector: Connector) -> None:
    """A pause shorter than the longest gap is no doubt."""
    jump(connector, 90 * DAY - 1.0)
    assert cleaned(connector) == (2, 0, "")


def test_a_connector_that_rests_longer_needs_somebody(connector: Connector) -> None:
    """A pause longer than that may be a clock that jumped."""
    jump(connector, 90 * DAY + 1.0)
    payloads, batches, doubt = cleaned(connector)
    assert (payloads, batches) == (0, 0)
    assert "nothing is on record between" in doubt


def test_a_clock_that_is_behind_its_records_is_named(connector: Connector) -> None:
    """If the clock was set back, or was ahead before, nothing young is deleted and the clean-up says so."""
    jump(connector, -2 * YEAR)
    payloads, batches, doubt = cleaned(connector)
    assert (payloads, batches) == (0, 0)
    assert doubt.startswith("the newest record is of 2026-")


def test_a_clock_that_was_never_set_makes_no_batch_old(connector: Connector) -> None:
    """A batch that was recorded in 1970, before the clock was set, keeps its record."""
    jump(connector, -connector.clock.now())
    connector.accept([row(9)])
    connector.drain(FakeTransport())
    jump(connector, 1_780_000_000.0 - connector.clock.now())
    connector.accept([row(10)])
    assert cleaned(connector)[1] == 0
    assert connector.accept([row(9)]).counts.skipped == 1


def test_a_retry_of_a_wrong_clock_is_shown_as_due() -> None:
    """A retry that a wrong clock put years ahead delays nothing, and is not shown as the next one."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock())
    jump(connector, 2 * YEAR)
    connector.accept([row(1)])
    connector.drain(FakeTransport(Reply(503, wait=60.0)))
    assert connector_status(connector.outbox).retry_at > connector.clock.now()
    jump(connector, -2 * YEAR)
    assert connector_status(connector.outbox).retry_at == 0.0
    assert connector.drain(FakeTransport()).sent == 1
