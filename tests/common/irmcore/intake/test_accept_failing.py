"""What an error says about the rows is true, also after all of them were accepted."""

from __future__ import annotations

import errno

import pytest
from irmcore.disk import Lock
from irmcore.errors import OutboxFull

from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row
from tests.fakes.powerloss import PowerLossDisk


class Stuck:
    """A lock whose release reports an error of the disk."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    def release(self) -> None:
        self._lock.release()
        raise OSError(errno.EIO, "an error")


class StuckLocks(PowerLossDisk):
    """A disk on which the release of an intake lock reports an error, once ``on``."""

    on = False

    def try_lock(self, path: str, *, shared: bool = False) -> Lock | None:  # type: ignore[override]
        lock = super().try_lock(path, shared=shared)
        return Stuck(lock) if self.on and lock is not None and path.endswith("intake.lock") else lock


def test_an_error_after_the_acceptance_is_a_warning() -> None:
    """Whatever fails once all rows are accepted, the run is not called one of which nothing was accepted."""
    disk = StuckLocks()
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock())
    connector.accept([row(0)])
    disk.on = True
    done = connector.accept([row(1), row(2)])
    assert len(done.batches) == 1
    assert "after its rows were accepted" in done.warning
    assert sorted(connector.notes("READY")) == ["note 0", "note 1", "note 2"]


def test_a_run_whose_record_cannot_be_written_is_accepted_and_says_so() -> None:
    """A run's record that the disk does not take is a warning of an accepted run."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock())
    connector.accept([row(0)])

    def fail(kind: str, path: str) -> None:
        if path.endswith("/audit.log"):
            disk.fail_at[disk.operations + 1] = errno.ENOSPC

    disk.watch = fail
    done = connector.accept([row(1)])
    assert (len(done.batches), done.counts.shaped) == (1, 1)
    assert "the run could not be recorded in the audit log" in done.warning


def error_of(connector: Connector) -> str:
    """The error of a run of five rows, or its warning."""
    try:
        return connector.accept([row(at) for at in range(1, 6)]).warning
    except OutboxFull as error:
        return str(error)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (errno.ENOSPC, "the disk or its quota is full"),
        (errno.EDQUOT, "the disk or its quota is full"),
        (errno.EACCES, "the outbox is not writable"),
        (errno.EIO, "the disk reported an error (EIO)"),
    ],
)
def test_an_error_says_what_was_accepted(code: int, what: str) -> None:
    """Wherever a disk fails, a run says that nothing was accepted if that is so, and only then."""
    number = in_part = not_at_all = 0
    failed = True
    while failed:
        number += 1
        disk = PowerLossDisk()
        disk.make_dir("/outbox")
        connector = Connector(disk, FakeClock())
        connector.accept([row(0)])
        disk.fail_at[disk.operations + number] = code
        error = error_of(connector)
        failed = disk.operations >= max(disk.fail_at)
        disk.fail_at.clear()
        accepted = set(connector.notes("READY")) - {"note 0"}
        if "nothing of it was accepted" in error:
            assert what in error, number
            assert not accepted, number
            not_at_all += 1
        elif "may have been accepted in part" in error:
            assert what in error, number
            in_part += bool(accepted)
        else:
            assert len(accepted) == 5, number
        again = connector.accept([row(at) for at in range(6)])
        assert again.counts.skipped == 1 + len(accepted), number
    assert in_part > 1
    assert not_at_all > 10
