"""Retention that runs by itself: once a day, by the periods of the profile, and no run fails for it."""

from __future__ import annotations

import errno

from irmcore.delivery.connection import save_settings
from irmcore.http.outcome import Failure
from irmcore.operations.retention import clean_up_daily, last_run
from irmcore.operations.status import connector_status
from irmcore.outbox import audit_log

from tests.common.irmcore.outbox.outboxes import DAY, pass_days
from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row
from tests.fakes.powerloss import PowerLossDisk
from tests.fakes.transport import FakeTransport


def sent() -> Connector:
    """A connector with one batch that was sent."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock())
    connector.accept([row(1)])
    connector.drain(FakeTransport())
    return connector


def payloads(connector: Connector, warnings: list[str]) -> int:
    """How many payloads a run deletes; it must be due."""
    deleted = clean_up_daily(connector.outbox, warnings.append)
    assert deleted is not None
    return deleted.payloads


def test_it_runs_once_a_day() -> None:
    """A second run within a day reads one file and changes nothing; a day later it deletes what is due."""
    connector, warnings = sent(), list[str]()
    clean_up_daily(connector.outbox, warnings.append)
    connector.clock.sleep(6.5 * DAY)
    assert payloads(connector, warnings) == 0
    connector.clock.sleep(0.6 * DAY)
    before = connector.disk.operations
    assert clean_up_daily(connector.outbox, warnings.append) is None
    assert connector.disk.operations == before
    connector.clock.sleep(0.5 * DAY)
    assert payloads(connector, warnings) == 1
    assert warnings == []


def test_the_profile_sets_the_periods() -> None:
    """The periods come from the settings beside the outbox, and the status shows them."""
    connector = sent()
    save_settings(connector.outbox, {"connector": {"retention": {"sent_days": 30, "records_days": 500}}})
    assert connector_status(connector.outbox).retention_days == {
        "sent": 30.0,
        "refused": 30.0,
        "undecided": 90.0,
        "records": 500.0,
    }
    connector.clock.sleep(29 * DAY)
    assert payloads(connector, []) == 0
    connector.clock.sleep(2 * DAY)
    assert payloads(connector, []) == 1


def test_what_needs_a_person_says_when_it_is_deleted() -> None:
    """The status of a held batch has the day on which its rows are deleted, from the first day on."""
    connector = sent()
    connector.accept([row(2)])
    connector.drain(FakeTransport(Failure("reset", committed=True)))
    (item,) = connector_status(connector.outbox).items
    assert (item.state, item.expires) == ("HELD", item.since + 90 * DAY)
    pass_days(connector.outbox, 91)
    clean_up_daily(connector.outbox, print)
    assert connector_status(connector.outbox).items == ()
    assert connector.accept([row(2)]).counts.skipped == 1


def test_a_failing_disk_does_not_fail_the_run() -> None:
    """An error is a warning without a row value; the next run tries again."""
    connector, warnings = sent(), list[str]()
    connector.clock.sleep(8 * DAY)
    connector.disk.fail_at = {connector.disk.operations + 1: errno.EIO}
    clean_up_daily(connector.outbox, warnings.append)
    (warning,) = warnings
    assert "nothing was deleted that is past its retention time (the disk reported an error (EIO)" in warning
    assert payloads(connector, warnings) == 1


def test_a_sender_at_work_is_not_disturbed() -> None:
    """While another process sends, retention is left to that one."""
    connector, warnings = sent(), list[str]()
    connector.clock.sleep(8 * DAY)
    lock = connector.outbox.sender_lock()
    assert lock is not None
    assert clean_up_daily(connector.outbox, warnings.append) is None
    assert warnings == []
    assert last_run(connector.outbox) == (0.0, "")


def test_a_clock_in_doubt_is_told() -> None:
    """A jump deletes nothing; the run that notices it warns, and the status repeats it."""
    connector, warnings = sent(), list[str]()
    connector.clock.sleep(730 * DAY)
    clean_up_daily(connector.outbox, warnings.append)
    (warning,) = warnings
    assert warning.endswith("if it is right, run `irmexport clean-up --clock-is-right`")
    assert connector_status(connector.outbox).retention_doubt in warning
    audit_log.append(connector.outbox, {"event": "run"})
    assert connector.accept([row(1)]).counts.skipped == 1


def test_leftovers_of_killed_runs_go() -> None:
    """What a killed run left in its staging directory is deleted, too."""
    connector = sent()
    path = f"{connector.outbox.tmp}/0/left"
    connector.disk.create(path, b"rows")
    clean_up_daily(connector.outbox, print)
    assert not connector.disk.exists(path)
