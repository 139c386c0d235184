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


class Refusing(PowerLossDisk):
    """A disk that refuses to remove anything under a path."""

    def __init__(self, path: str, code: int) -> None:
        super().__init__()
        self._path, self._code = path, code

    def remove_tree(self, path: str) -> None:
        if path.startswith(self._path):
            raise OSError(self._code, "refused", path)
        super().remove_tree(path)


def with_leftovers(disk: PowerLossDisk) -> PowerLossDisk:
    """The disk with a batch of a dead run in each of two directories, and files of others."""
    disk.make_dir("/staging")
    for name in ("0", "1", "mine", "0x"):
        disk.make_dir(f"/staging/{name}")
        disk.make_dir(f"/staging/{name}/batch")
        disk.create(f"/staging/{name}/batch/payload", b"row")
    return disk


def test_what_a_dead_run_left_is_deleted_by_the_next() -> None:
    """A run gets an empty directory, and leaves one; a directory that a live run has is not touched."""
    disk = with_leftovers(PowerLossDisk())
    live = disk.try_lock("/staging/0.lock")
    assert live is not None
    mine = staging_directory.acquire(disk, "/staging")
    assert (mine.path, disk.names("/staging/1")) == ("/staging/1", [])
    assert disk.names("/staging/0") == ["batch"]
    disk.create("/staging/1/file", b"")
    mine.close()
    mine.close()
    assert disk.names("/staging/1") == []
    staging_directory.sweep(disk, "/staging")
    assert disk.names("/staging/0") == ["batch"]
    live.release()
    staging_directory.sweep(disk, "/staging")
    assert disk.names("/staging/0") == []
    assert disk.names("/staging/mine") == disk.names("/staging/0x") == ["batch"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EIO])
def test_a_directory_that_cannot_be_emptied_is_passed_over(code: int) -> None:
    """It stops neither a run nor a sweep, and its lock is free again."""
    disk = with_leftovers(Refusing("/staging/0/", code))
    assert staging_directory.acquire(disk, "/staging").path == "/staging/1"
    staging_directory.sweep(disk, "/staging")
    assert disk.names("/staging/0") == ["batch"]
    assert disk.try_lock("/staging/0.lock") is not None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_an_error_of_the_whole_disk_is_not_passed_over(code: int) -> None:
    """The run ends with it, and the lock is free again."""
    disk = with_leftovers(Refusing("/staging/0/", code))
    for act in (staging_directory.acquire, staging_directory.sweep):
        with pytest.raises(OSError, match="refused"):
            act(disk, "/staging")
        lock = disk.try_lock("/staging/0.lock")
        assert lock is not None
        lock.release()


def test_a_directory_that_is_released_is_left_as_it_is() -> None:
    """Its content stays until the next run takes it."""
    disk = with_leftovers(PowerLossDisk())
    mine = staging_directory.acquire(disk, "/staging")
    disk.create("/staging/0/file", b"")
    mine.release()
    mine.close()
    assert disk.names("/staging/0") == ["file"]
    assert disk.try_lock("/staging/0.lock") is not None
