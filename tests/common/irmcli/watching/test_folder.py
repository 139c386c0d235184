"""A watched folder that others write to: no link is followed, and no file is lost to a race."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from irmcli.watching.folder import Folder, Found
from irmcli.watching.own_directory import directory
from irmcore.errors import ConfigurationError, OutboxBusy

from tests.fakes.clock import FakeClock


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The watched folder."""
    made = tmp_path / "in"
    made.mkdir()
    return made


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Folder:
    """The folder, held by this process."""
    made = Folder(root, tmp_path / "state", FakeClock(), settle=1.0)
    made.hold()
    return made


def found(folder: Folder) -> Found:
    """The only file in the folder."""
    (one,) = folder.files()
    return one


def test_what_is_read_is_a_private_copy(folder: Folder, root: Path) -> None:
    """The writer cannot reach it; the digest is that of the copy; the original stays until it is put."""
    (root / "x.csv").write_text("old")
    digest = folder.take(found(folder))
    (root / "x.csv").write_text("new")
    assert folder.copy.read_text() == "old"
    assert folder.copy.stat().st_mode & 0o777 == 0o600
    assert root not in folder.copy.parents
    assert digest == hashlib.sha256(b"old").hexdigest()


def test_a_file_that_took_the_place_of_the_one_that_was_read_is_not_archived(
    folder: Folder, root: Path
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


def test_a_file_that_became_a_link_is_not_read(folder: Folder, root: Path, tmp_path: Path) -> None:
    """Neither the file, nor a directory on the way to it, is followed."""
    (tmp_path / "secret").write_text("secret")
    (root / "sub").mkdir()
    (root / "sub" / "secret").write_text("rows")
    one = found(folder)
    (root / "sub" / "secret").unlink()
    (root / "sub" / "secret").symlink_to(tmp_path / "secret")
    assert folder.take(one) is None
    (root / "sub" / "secret").unlink()
    (root / "sub").rmdir()
    (root / "sub").symlink_to(tmp_path)
    version = (tmp_path / "secret").lstat()
    same = (version.st_dev, version.st_ino, version.st_size, version.st_mtime_ns)
    assert folder.take(Found("sub/secret", same)) is None
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
    Folder(root, tmp_path / "state", FakeClock(), settle=1.0).hold().release()
    (root / ".irmexport" / "work" / "sub" / "x.csv").write_text("x")
    with pytest.raises(ConfigurationError, match="an earlier version was interrupted") as caught:
        Folder(root, tmp_path / "state", FakeClock(), settle=1.0).hold()
    work = root / ".irmexport" / "work"
    assert caught.value.next_step.endswith(f"cp -R -P {work}/. {root}/ && rm -r {work}")


def test_an_outbox_in_the_watched_folder(root: Path) -> None:
    """Whoever writes to the folder could reach the outbox."""
    with pytest.raises(ConfigurationError, match="the outbox is in the directory to watch"):
        Folder(root, root / "outbox" / "watched", FakeClock(), settle=1.0)


def test_a_second_watcher(folder: Folder, root: Path, tmp_path: Path) -> None:
    """The same folder by another path is the same folder."""
    (tmp_path / "link").symlink_to(root)
    with pytest.raises(OutboxBusy):
        Folder(tmp_path / "link", tmp_path / "state", FakeClock(), settle=1.0).hold()
