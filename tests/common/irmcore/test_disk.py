"""What every Disk does: the real one, the one in memory, and the model that the durability tests use."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from irmcore.disk import Disk, FleetingDisk, PosixDisk, file_system, make_dirs, replace_file
from irmcore.disk import place as place_of
from irmcore.outbox.on_store.memory_disk import MemoryDisk

from tests.fakes.powerloss import PowerLossDisk


@pytest.fixture(params=["posix", "fleeting", "memory", "model"])
def place(request: Any, tmp_path: Path) -> tuple[Disk, str]:
    """A disk, and an empty directory on it."""
    if request.param in ("posix", "fleeting"):
        return PosixDisk() if request.param == "posix" else FleetingDisk(), str(tmp_path)
    if request.param == "memory":
        memory = MemoryDisk("a-host")
        memory.make_dirs("az://account/container")
        return memory, "az://account/container"
    disk = PowerLossDisk()
    disk.make_dir("/here")
    return disk, "/here"


def test_create_refuses_what_exists(place: tuple[Disk, str]) -> None:
    """A new file has its bytes; an existing name is refused and left unchanged."""
    disk, here = place
    disk.create(f"{here}/a", b"first")
    with pytest.raises(FileExistsError):
        disk.create(f"{here}/a", b"second")
    disk.make_dir(f"{here}/d")
    for name in ("a", "d"):
        with pytest.raises(FileExistsError):
            disk.make_dir(f"{here}/{name}")
    assert (disk.read(f"{here}/a"), disk.size(f"{here}/a")) == (b"first", 5)


def test_write_at_overwrites_in_place_and_grows(place: tuple[Disk, str]) -> None:
    """Bytes are replaced in place, skipped space reads as zeros, and no file is created."""
    disk, here = place
    disk.create(f"{here}/a", b"0123456789")
    disk.write_at(f"{here}/a", 3, b"xyz")
    assert disk.read(f"{here}/a") == b"012xyz6789"
    disk.write_at(f"{here}/a", 12, b"end")
    assert disk.read(f"{here}/a") == b"012xyz6789\0\0end"
    with pytest.raises(FileNotFoundError):
        disk.write_at(f"{here}/none", 0, b"x")


def test_a_file_is_replaced(place: tuple[Disk, str]) -> None:
    """Nothing is left of an earlier attempt that was killed."""
    disk, here = place
    disk.create(f"{here}/a.irmexport-new", b"of a killed process")
    disk.create(f"{here}/a.new", b"of somebody else")
    for data in (b"first", b"second"):
        replace_file(disk, f"{here}/a", data)
        assert (disk.names(here), disk.read(f"{here}/a")) == (["a", "a.new"], data)


def test_a_file_that_cannot_be_replaced(tmp_path: Path) -> None:
    """What was written is removed, as it may be a secret."""
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_file(PosixDisk(), str(tmp_path / "a"), b"secret")
    assert [left.name for left in tmp_path.iterdir()] == ["a"]


def test_a_replaced_file_survives_a_power_loss() -> None:
    """It is durable once the function has returned."""
    disk = PowerLossDisk()
    disk.make_dir("/here")
    disk.sync_dir("/")
    replace_file(disk, "/here/a", b"first")
    replace_file(disk, "/here/a", b"second")
    assert {left.read("/here/a") for left in disk.after_power_loss()} == {b"second"}


def test_append_makes_the_file_and_adds_to_its_end(place: tuple[Disk, str]) -> None:
    """Appended bytes follow those that are there."""
    disk, here = place
    disk.append(f"{here}/a", b"one")
    disk.append(f"{here}/a", b"two")
    assert disk.read(f"{here}/a") == b"onetwo"


def test_a_directory_moves_with_all_that_is_in_it(place: tuple[Disk, str]) -> None:
    """A renamed directory keeps its content; one that is not empty is never replaced."""
    disk, here = place
    for name in ("from", "to", "full"):
        disk.make_dir(f"{here}/{name}")
    disk.make_dir(f"{here}/from/batch")
    disk.create(f"{here}/from/batch/a", b"x")
    disk.create(f"{here}/full/b", b"y")
    disk.rename(f"{here}/from/batch", f"{here}/to/batch")
    assert (disk.names(f"{here}/from"), disk.read(f"{here}/to/batch/a")) == ([], b"x")
    with pytest.raises(OSError, match="not empty"):
        disk.rename(f"{here}/to", f"{here}/full")
    with pytest.raises(FileNotFoundError):
        disk.rename(f"{here}/from/batch", f"{here}/to/other")


def test_a_file_replaces_a_file(place: tuple[Disk, str]) -> None:
    """A rename onto a file leaves the new content under the old name."""
    disk, here = place
    disk.create(f"{here}/old", b"old")
    disk.create(f"{here}/new", b"new")
    disk.rename(f"{here}/new", f"{here}/old")
    assert (disk.names(here), disk.read(f"{here}/old")) == (["old"], b"new")


def test_names_are_sorted_and_none_where_there_is_no_directory(place: tuple[Disk, str]) -> None:
    """A directory that does not exist, or is a file, has no names."""
    disk, here = place
    for name in ("b", "a", "c"):
        disk.create(f"{here}/{name}", b"")
    assert disk.names(here) == ["a", "b", "c"]
    assert disk.names(f"{here}/none") == []
    assert disk.names(f"{here}/a") == []


def test_removal(place: tuple[Disk, str]) -> None:
    """Files and trees are removed; a missing tree is not an error."""
    disk, here = place
    disk.make_dir(f"{here}/d")
    disk.make_dir(f"{here}/d/e")
    disk.create(f"{here}/d/e/a", b"x")
    disk.create(f"{here}/b", b"x")
    disk.create(f"{here}/c", b"x")
    disk.remove(f"{here}/b")
    disk.remove_tree(f"{here}/c")
    disk.remove_tree(f"{here}/d")
    disk.remove_tree(f"{here}/d")
    assert not disk.exists(f"{here}/b")
    assert disk.names(here) == []
    with pytest.raises(FileNotFoundError):
        disk.remove(f"{here}/b")


def test_syncs_need_what_they_sync(place: tuple[Disk, str]) -> None:
    """Syncing a missing file or directory is an error."""
    disk, here = place
    disk.create(f"{here}/a", b"x")
    disk.sync(f"{here}/a")
    disk.sync_dir(here)
    disk.sync_all([f"{here}/a"], [here])
    with pytest.raises(FileNotFoundError):
        disk.sync_all([f"{here}/a", f"{here}/none"], [here])
    with pytest.raises(NotADirectoryError):
        disk.sync_all([], [f"{here}/a"])
    with pytest.raises(FileNotFoundError):
        disk.sync(f"{here}/none")
    with pytest.raises(FileNotFoundError):
        disk.sync_dir(f"{here}/none")
    with pytest.raises(NotADirectoryError):
        disk.sync_dir(f"{here}/a")
    with pytest.raises(IsADirectoryError):
        disk.sync(here)


def test_paths_through_a_file(place: tuple[Disk, str]) -> None:
    """Under a file nothing can be read and nothing exists."""
    disk, here = place
    disk.create(f"{here}/a", b"x")
    with pytest.raises(NotADirectoryError):
        disk.read(f"{here}/a/b")
    assert not disk.exists(f"{here}/a/b")
    with pytest.raises(IsADirectoryError):
        disk.read(here)


def test_a_lock_is_held_once_and_released(place: tuple[Disk, str]) -> None:
    """A held lock keeps others out until it is released; releasing it twice is harmless."""
    disk, here = place
    first = disk.try_lock(f"{here}/lock")
    assert first is not None
    assert disk.try_lock(f"{here}/lock") is None
    first.release()
    second = disk.try_lock(f"{here}/lock")
    assert second is not None
    first.release()
    assert disk.try_lock(f"{here}/lock") is None
    second.release()
    assert disk.free_bytes(here) > 0


def test_a_lock_is_shared_or_held_alone(place: tuple[Disk, str]) -> None:
    """Several may share a lock; while any of them does, nobody has it alone, and the other way round."""
    disk, here = place
    first, second = (disk.try_lock(f"{here}/lock", shared=True) for _ in range(2))
    assert first is not None
    assert second is not None
    first.release()
    assert disk.try_lock(f"{here}/lock") is None
    second.release()
    alone = disk.try_lock(f"{here}/lock")
    assert alone is not None
    assert disk.try_lock(f"{here}/lock", shared=True) is None
    alone.release()


def test_names_by_age_are_those_of_the_directory_in_the_order_of_creation(place: tuple[Disk, str]) -> None:
    """Directories are listed in the order in which they were made, wherever they were moved."""
    disk, here = place
    for name in ("b", "a", "c"):
        disk.make_dir(f"{here}/{name}")
        if isinstance(disk, PosixDisk):
            os.utime(f"{here}/{name}", ns=(0, 1 + "bac".index(name)))
    disk.rename(f"{here}/c", f"{here}/0")
    # In memory there are no times.
    assert disk.names_by_age(here) == (["0", "a", "b"] if isinstance(disk, MemoryDisk) else ["b", "a", "0"])
    assert disk.names_by_age(f"{here}/none") == []


@pytest.fixture
def odd_umask() -> Iterator[None]:
    """Restores the umask."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o277])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, odd_umask: None, umask: int) -> None:
    """Files have mode 0600 and directories 0700, however narrow or wide the umask is."""
    os.umask(umask)
    disk, here = PosixDisk(), str(tmp_path)
    disk.make_dir(f"{here}/d")
    disk.create(f"{here}/d/created", b"x")
    disk.append(f"{here}/d/appended", b"x")
    lock = disk.try_lock(f"{here}/d/locked")
    assert lock is not None
    modes = {name: stat.S_IMODE((tmp_path / "d" / name).stat().st_mode) for name in disk.names(f"{here}/d")}
    assert modes == dict.fromkeys(["appended", "created", "locked"], 0o600)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700
    lock.release()


HOLDER = """
import sys
from irmcore.disk import PosixDisk
lock = PosixDisk().try_lock(sys.argv[1])
print("held" if lock else "busy", flush=True)
sys.stdin.read()
"""


def test_only_a_disk_that_is_lost_anyway_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data and names alike."""
    synced = list[int]()
    monkeypatch.setattr(os, "fsync", synced.append)
    for disk, count in ((FleetingDisk(), 0), (PosixDisk(), 6)):
        path = f"{tmp_path}/{count}"
        disk.create(path, b"x", sync=True)
        disk.write_at(path, 0, b"y", sync=True)
        disk.sync(path)
        disk.sync_dir(str(tmp_path))
        disk.sync_all([path], [str(tmp_path)])
        assert disk.read(path) == b"y"
        assert len(synced) == count


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    """A lock keeps other processes out, and is free once its holder was killed."""
    disk, path = PosixDisk(), str(tmp_path / "lock")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert disk.try_lock(path) is None
        holder.kill()
        holder.wait()
        assert disk.try_lock(path) is not None


def test_a_directory_is_made_with_those_above_it_each_durably() -> None:
    """After make_dirs no power loss removes any of the new directories."""
    disk = PowerLossDisk()
    make_dirs(disk, "/a/b/c")
    make_dirs(disk, "/a/b/c")
    afterwards = list(disk.after_power_loss(1000))
    assert afterwards
    assert all(after.exists("/a/b/c") for after in afterwards)


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /srv/share rw - nfs4 server:/x rw
31 30 0:41 / /srv/share/my\\040disk rw - xfs /dev/vdb rw
32 22 0:42 / /srv/layers rw - overlay overlay rw
not a line of mountinfo
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("home", "ext4"),
        ("srv/share", "nfs4"),
        ("srv/share/box/deep", "nfs4"),
        ("srv/shared", "ext4"),
        ("srv/share/my disk/x", "xfs"),
    ],
)
def test_a_file_system_is_that_of_the_innermost_mount(path: str, kind: str) -> None:
    """The type is that of the mount that shows the directory, also if its path has a space."""
    assert file_system(f"/{path}", MOUNTS) == kind


def test_the_place_of_a_directory(tmp_path: Path) -> None:
    """The host is a hash of the machine ID; it is unknown without one, and in a container."""
    (tmp_path / "etc").mkdir()
    assert place_of(str(tmp_path), str(tmp_path))[:3] == (None, "", tmp_path.stat().st_ino)
    (tmp_path / "etc" / "machine-id").write_text("uninitialized\n")  # on the first boot of an image
    assert place_of(str(tmp_path), str(tmp_path)).host is None
    (tmp_path / "etc" / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    host = place_of(str(tmp_path), str(tmp_path)).host
    assert host is not None
    assert len(host) == 32
    assert "0123456789abcdef" not in host
    (tmp_path / ".dockerenv").touch()
    assert place_of(str(tmp_path), str(tmp_path)).host is None


def test_an_inode_that_may_change_is_not_recorded(tmp_path: Path) -> None:
    """Overlay and FUSE file systems may number directories anew, so their inodes identify nothing.

    An overlay as the root is that of a container, whose machine ID may be its image's.
    """
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mountinfo").write_text("1 1 0:1 / / rw - overlay overlay rw\n")
    assert place_of(str(tmp_path), str(tmp_path)) == (None, "overlay", None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="an ioctl of Linux")
def test_a_directory_that_is_restored_in_place_is_another_one(tmp_path: Path) -> None:
    """ext4 and XFS give it the number of the one that was deleted, so its generation counts, too."""
    folder = tmp_path / "folder"
    folder.mkdir()
    made = place_of(str(folder))
    moved = folder.rename(tmp_path / "moved")
    assert place_of(str(moved)) == made
    moved.rmdir()
    folder.mkdir()
    keeps_none = made.inode_generation is None and made.file_system not in ("ext4", "xfs", "btrfs")
    assert keeps_none or place_of(str(folder)) != made
