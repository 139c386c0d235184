"""The directories in which batches are built: one process each, and a limit."""

from __future__ import annotations

import errno

import pytest
from irmcore.outbox import staging_directory

from tests.fakes.powerloss import PowerLossDisk


def test_a_thousand_runs_at_a_time_are_the_most() -> None:
    """The next one is told that the directory is busy, and gets the first that becomes free."""
    disk = PowerLossDisk()
    disk.make_dir("/staging")
    locks = [disk.try_lock(f"/staging/{number}.lock") for number in range(1_000)]
    with pytest.raises(OSError, match="busy") as raised:
        staging_directory.acquire(disk, "/staging")
    assert raised.value.errno == errno.EBUSY
    last = locks[-1]
    assert last is not None
    last.release()
    assert staging_directory.acquire(disk, "/staging").path == "/staging/999"
