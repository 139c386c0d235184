"""What an error says about the rows is true, also after all of them were accepted."""

from __future__ import annotations

import errno

from irmcore.disk import Lock

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
        if "/runs/" in path:
            disk.fail_at[disk.operations + 1] = errno.ENOSPC

    disk.watch = fail
    done = connector.accept([row(1)])
    assert (len(done.batches), done.counts.shaped) == (1, 1)
    assert "the run's record could not be written" in done.warning
