"""The intake lock and how long it is waited for, and what errors of the disk mean."""

from __future__ import annotations

import errno

import pytest
from irmcore.disk import Lock
from irmcore.errors import OutboxBusy
from irmcore.intake.commit import disk_error, explain_disk_error, wait_for_intake_lock
from irmcore.outbox import Outbox

from tests.fakes.clock import FakeClock
from tests.fakes.powerloss import PowerLossDisk


class NotingClock(FakeClock):
    """A clock that notes how long somebody sleeps, and ends a lock after some sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []
        self.lock: Lock | None = None
        self.ends_after = 0

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.slept.append(seconds)
        if len(self.slept) == self.ends_after and self.lock is not None:
            self.lock.release()


def held(clock: NotingClock) -> Outbox:
    """An outbox whose intake lock another process holds."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    outbox = Outbox(disk, clock, "/outbox/small")
    outbox.create()
    clock.lock = outbox.intake_lock()
    return outbox


def test_a_lock_that_becomes_free_is_taken_soon() -> None:
    """It is tried every 50 ms."""
    clock = NotingClock()
    clock.ends_after = 3
    assert wait_for_intake_lock(held(clock)) is not clock.lock
    assert clock.slept == [0.05] * 3


def test_a_lock_that_stays_held_is_an_error() -> None:
    """After five minutes, or the time that the caller names; with 0, after one try."""
    for seconds, tries in ((300.0, 6_000), (1.0, 20), (0.0, 0)):
        clock = NotingClock()
        outbox = held(clock)
        with pytest.raises(OutboxBusy, match="another process is adding rows"):
            wait_for_intake_lock(outbox, seconds) if seconds < 300 else wait_for_intake_lock(outbox)
        assert len(clock.slept) in (tries, tries + 1)


@pytest.mark.parametrize(
    ("code", "what", "step"),
    [
        (errno.ENOSPC, "the disk or its quota is full", "Free some space"),
        (errno.EDQUOT, "the disk or its quota is full", "Free some space"),
        (errno.EROFS, "the file system of the outbox is mounted read-only", "Mount it read-write"),
        (errno.EACCES, "the outbox is not writable", "Run `chown -R USER /outbox`"),
        (errno.EPERM, "the outbox is not writable", "Run `chown -R USER /outbox`"),
        (errno.EIO, "the disk reported an error (EIO)", "Check the disk"),
        (None, "the disk reported an error (unknown)", "Check the disk"),
        (99_999, "the disk reported an error (unknown)", "Check the disk"),
    ],
)
def test_what_an_error_of_the_disk_means(code: int | None, what: str, step: str) -> None:
    """It names the cause and the next step; and whether some of the run may be accepted."""
    error = OSError(code, "text") if code is not None else OSError("text")
    assert explain_disk_error(error, "/outbox")[0] == what
    assert explain_disk_error(error, "/outbox")[1].startswith(step)
    said = [disk_error(error, "/outbox", in_part=part) for part in (False, True)]
    assert [each.what for each in said] == [
        f"{what}; nothing of it was accepted",
        f"{what}; this run may have been accepted in part",
    ]
    assert ["will be skipped" in each.next_step for each in said] == [False, True]
