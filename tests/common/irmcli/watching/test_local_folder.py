"""A watched folder that others write to: no link is followed, and no file is lost to a race."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from irmcli.watching.folder import Found
from irmcli.watching.local_folder import LocalFolder
from irmcli.watching.own_directory import directory
from irmcore.disk import system_disk
from irmcore.errors import ConfigurationError, InputError, OutboxBusy, OutboxFull

from tests.fakes.clock import FakeClock


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The watched folder."""
    made = tmp_path / "in"
    made.mkdir()
    return made


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> LocalFolder:
    """The folder, held by this process."""
    made = LocalFolder(root, tmp_path / "state", FakeClock(), settle=1.0)
    made.hold()
    return made


def found(folder: LocalFolder) -> Found:
    """The only file in the folder."""
    (one,) = folder.files()
    return one


def test_what_is_read_is_a_private_copy(folder: LocalFolder, root: Path) -> None:
    """The writer cannot reach it; the digest is that of the copy; the original stays until it is put."""
    (root / "x.csv").write_text("old")
    digest = folder.take(found(folder))
    (root / "x.csv").write_text("new")
    assert folder.copy.read_text() == "old"
    assert folder.copy.stat().st_mode & 0o777 == 0o600
    assert root not in folder.copy.parents
    assert digest == hashlib.sha256(b"old").hexdigest()


def test_a_file_that_took_the_place_of_the_one_that_was_read_is_not_archived(
    folder: LocalFolder, root: Path
) -> None:
    """It is put back under another name, and found as a new file."""
    (root / "x.csv").write_text("old")
    before = found(folder)
    assert folder.take(before) is not None
    (root / "x.new").write_text("newer")
    (root / "x.new").replace(root / "x.csv")
    assert not folder.put(before, "archive", "x.csv")
    assert list((root / "archive").iterdir()) == []
    assert (root / found(folder).name).read_text() == "newer"


def test_a_file_that_became_a_link_is_not_read(folder: LocalFolder, root: Path, tmp_path: Path) -> None:
    """Neither the file, nor a directory on the way to it, is followed."""
    (tmp_path / "secret").write_text("secret")
    (root / "sub").mkdir()
    (root / "sub" / "secret").write_text("rows")
    one = found(folder)
    (root / "sub" / "secret").unlink()
    (root / "sub" / "secret").symlink_to(tmp_path / "secret")
    assert folder.take(one) is None
    version = (tmp_path / "secret").lstat()
    same = (version.st_dev, version.st_ino, version.st_size, version.st_mtime_ns)
    assert folder.take(Found("sub/secret", same, same[2])) is None
    (root / "sub" / "secret").unlink()
    (root / "sub").rmdir()
    (root / "sub").symlink_to(tmp_path)
    assert folder.take(Found("sub/secret", same, same[2])) is None
    assert not folder.copy.exists()


def test_directories_are_opened_without_following_links(root: Path, tmp_path: Path) -> None:
    """A link is an error, whether the directory is ours or not, and so is one that others may change."""
    (root / "a").symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError), directory(root, ["a"], ours=False):
        pass
    with pytest.raises(ConfigurationError, match="is a link"), directory(root, ["a"], ours=True):
        pass
    (root / "b").mkdir()
    (root / "b").chmod(0o777)
    with pytest.raises(ConfigurationError, match="chmod go-w"), directory(root, ["b", "c"], ours=True):
        pass
    assert list((root / "b").iterdir()) == []


def test_files_of_an_interrupted_earlier_version(root: Path, tmp_path: Path) -> None:
    """They are reported with the command that has them processed; an empty directory is ignored."""
    (root / ".irmexport" / "work" / "sub").mkdir(parents=True)
    LocalFolder(root, tmp_path / "state", FakeClock(), settle=1.0).hold().release()
    (root / ".irmexport" / "work" / "sub" / "x.csv").write_text("x")
    with pytest.raises(ConfigurationError, match="an earlier version was interrupted") as caught:
        LocalFolder(root, tmp_path / "state", FakeClock(), settle=1.0).hold()
    work = root / ".irmexport" / "work"
    assert caught.value.next_step.endswith(f"cp -R -P {work}/. {root}/ && rm -r {work}")


def test_an_outbox_in_the_watched_folder(root: Path) -> None:
    """Whoever writes to the folder could reach the outbox."""
    with pytest.raises(ConfigurationError, match="the outbox is in the directory to watch"):
        LocalFolder(root, root / "outbox" / "watched", FakeClock(), settle=1.0)


def test_a_second_watcher(folder: LocalFolder, root: Path, tmp_path: Path) -> None:
    """The same folder by another path is the same folder."""
    (tmp_path / "link").symlink_to(root)
    with pytest.raises(OutboxBusy):
        LocalFolder(tmp_path / "link", tmp_path / "state", FakeClock(), settle=1.0).hold()


def test_directories_nested_without_end(folder: LocalFolder, root: Path) -> None:
    """A file at a depth that no writer needs is not looked for; the files above it are."""
    (root / "x.csv").write_text("rows")
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(root)
        for _ in range(1500):  # deeper than Python's recursion goes
            Path("a").mkdir()
            os.chdir("a")
        Path("deep.csv").write_text("rows")
        os.fchdir(before)
        assert [one.name for one in folder.files()] == ["x.csv"]
    finally:
        os.fchdir(before)
        os.close(before)
        subprocess.run(["rm", "-r", str(root / "a")], check=True)


def test_a_file_of_any_size_is_not_copied(root: Path, tmp_path: Path) -> None:
    """A sparse file costs its writer nothing: beyond the limit it is refused, and none fills the disk."""
    (root / "x.csv").touch()
    os.truncate(root / "x.csv", system_disk().free_bytes(str(root)) + 1)
    small = LocalFolder(root, tmp_path / "state", FakeClock(), settle=1.0)
    large = LocalFolder(root, tmp_path / "state", FakeClock(), settle=1.0)
    small.max_bytes, large.max_bytes = 1_000, 1 << 60
    small.hold()
    with pytest.raises(InputError, match="the file has more than 1,000 bytes"):
        small.take(found(small))
    with pytest.raises(OutboxFull, match="no room for a copy"):
        large.take(found(large))
    assert not small.copy.exists()


def test_a_file_that_grows_without_end(folder: LocalFolder, root: Path) -> None:
    """No more of it is copied than it had when it was found."""
    size = 200_000_000
    (root / "x.csv").touch()
    os.truncate(root / "x.csv", size)
    one = found(folder)

    def write() -> None:
        until = time.monotonic() + 30
        while not folder.copy.exists() and time.monotonic() < until:
            time.sleep(0.001)
        os.truncate(root / "x.csv", size + 1)

    thread = threading.Thread(target=write)
    thread.start()
    assert folder.take(one) is None
    assert folder.copy.stat().st_size == size
    thread.join(60)


@pytest.mark.parametrize("name", ["é" * 125 + ".csv", "x." + "y" * 253])
def test_the_longest_name(folder: LocalFolder, root: Path, name: str) -> None:
    """What is written beside a file has room for a suffix; the shortened name has a mark of its content."""
    (root / name).write_text("rows")
    one = found(folder)
    digest = folder.take(one)
    assert digest is not None
    target = folder.free(one, "errors", digest, one.size)
    folder.write(one, "errors", f"{target}.error.txt", b"why")
    assert folder.put(one, "errors", target)
    assert f".{digest[:12]}" in target


@pytest.mark.parametrize("replaced", ["shared/in", "shared"])
def test_another_folder_in_place_of_the_watched_one(tmp_path: Path, replaced: str) -> None:
    """Whoever may rename the folder, or one around it, cannot have this user's own taken for it."""
    root, own = tmp_path / "shared" / "in", tmp_path / "own"
    root.mkdir(parents=True)
    (root / "x.csv").write_text("rows")
    (own / "in").mkdir(parents=True)
    folder = LocalFolder(root, tmp_path / "state", FakeClock(), settle=1.0)
    folder.hold()
    (tmp_path / replaced).rename(tmp_path / "moved")
    (tmp_path / replaced).symlink_to(own / "in" if replaced == "shared/in" else own)
    (own / "in" / "x.csv").write_text("rows")
    one = found(folder)
    assert folder.take(one) is None
    with pytest.raises(NotADirectoryError):
        folder.put(one, "archive", "x.csv")
    assert [path.name for path in (own / "in").iterdir()] == ["x.csv"]


@pytest.mark.needs("root")
def test_a_link_of_another_user_to_the_watched_one(root: Path, tmp_path: Path) -> None:
    """It is refused, as its maker chooses which directory is watched; a link of our own is not."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    LocalFolder(link / "in", tmp_path / "state", FakeClock(), settle=1.0)
    os.lchown(link, 12345, -1)
    with pytest.raises(ConfigurationError, match="another user made this link"):
        LocalFolder(link / "in", tmp_path / "state", FakeClock(), settle=1.0)


@pytest.mark.needs("root")
def test_what_another_user_makes_of_the_former_work_directory(root: Path, tmp_path: Path) -> None:
    """It keeps no `watch` from starting."""
    (root / ".irmexport" / "work").mkdir(parents=True)
    (root / ".irmexport" / "work" / "x.csv").write_text("x")
    os.chown(root / ".irmexport", 12345, -1)
    LocalFolder(root, tmp_path / "state", FakeClock(), settle=1.0).hold().release()
