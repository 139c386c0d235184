"""The files that `watch` keeps: deleted after their time, searched in any form, and no link is followed."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path

import pytest
from irmcli.session.retention import clean_up_shared
from irmcli.watching.copies import NAME, copies, delete_older, search, watched
from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.errors import ConfigurationError
from irmcore.operations.person import pattern
from irmcore.outbox import Outbox, audit_chain
from irmcore.outbox.outbox import AUDIT_LOG

from tests.common.irmcore.outbox.outboxes import DAY

HOUR = 3_600.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of each kind, and one that is not `watch`'s."""
    root = tmp_path / "in"
    for name in ("archive/sub/a.csv", "rejects/a.csv", "errors/b.csv", "new.csv"):
        path = root / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text("x")
    for name in ("", "archive", "archive/sub", "rejects", "errors"):
        (root / name).chmod(0o700)
    return root


def test_old_files_are_deleted(folder: Path) -> None:
    """Those that were moved there before; the modification time, which the writer sets, does not count."""
    for path in folder.rglob("*.csv"):
        os.utime(path, (0, 0))
    assert delete_older(folder, time.time() - HOUR) == 0
    assert delete_older(folder, time.time() + HOUR) == 3
    assert [str(path.relative_to(folder)) for path in folder.rglob("*.csv")] == ["new.csv"]


def test_no_link_is_followed(folder: Path, tmp_path: Path) -> None:
    """Neither to a file nor to a directory, nor in place of a directory of `watch`."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("x")
    (folder / "archive" / "link").symlink_to(other / "precious")
    (folder / "archive" / "links").symlink_to(other)
    assert delete_older(folder, time.time() + HOUR) == 3
    (folder / "errors").rmdir()
    (folder / "errors").symlink_to(other)
    with pytest.raises((ConfigurationError, OSError)):
        delete_older(folder, time.time() + HOUR)
    assert (other / "precious").exists()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"User,When\r\nanna@contoso.com,1\r\nbob@contoso.com,1\r\n", 1),
        (gzip.compress(b"User\nanna@contoso.com\n", mtime=0), 1),
        ("User\nanna@contoso.com\n".encode("utf-16"), 1),
        (b'{"user": {"name": "ANNA@contoso.com"}}\n{"user": "anna"}\n{"user": "annabel"}\n', 2),
        (b'a,"anna",b\nanna b\n', 1),
        (b"joanna@contoso.com\n", 0),
    ],
)
def test_what_is_found_in_a_file(folder: Path, data: bytes, lines: int) -> None:
    """The lines that name the person, whatever the file's form."""
    (folder / "rejects" / "a.csv").write_bytes(data)
    who = pattern(["anna@contoso.com", "anna"])
    found = [len(search(*one, who)) for one in copies(folder) if one[0].subfolder == "rejects"]
    assert found == [lines]


def outbox_directory(tmp_path: Path, folder: Path, days: list[int]) -> Path:
    """An outbox directory with runs these days ago, a watched folder, and a mark of an old content."""
    root = tmp_path / "outbox"
    root.mkdir(mode=0o700)
    outbox = Outbox(PosixDisk(), SystemClock(), f"{root}/purview-1")
    outbox.create()
    events = [{"event": "run", "at": time.time() - number * DAY} for number in days]
    outbox.replace_file(AUDIT_LOG, audit_chain.content(outbox.keyring, events))
    mark = root / "watched" / "purview-1" / "ab" / ("ab" * 32)
    name = root / "watched" / "folders" / "0123456789abcdef" / NAME
    for path in (mark, name):
        path.parent.mkdir(parents=True)
        path.write_text(str(folder))
    os.utime(mark, (time.time() - 401 * DAY,) * 2)
    return root


def test_the_marks_of_processed_contents_go(folder: Path, tmp_path: Path) -> None:
    """After as long as row keys are kept; files that were moved lately stay."""
    root = outbox_directory(tmp_path, folder, [450, 370, 290, 210, 130, 50])
    assert watched(root) == [folder]
    warnings: list[str] = []
    assert clean_up_shared(root, warnings.append) == 1
    assert warnings == []
    assert len(list(folder.rglob("*.csv"))) == 4


def test_a_clock_that_jumped_deletes_nothing(folder: Path, tmp_path: Path) -> None:
    """If an outbox has no record of the time that would have passed, nothing is old."""
    root = outbox_directory(tmp_path, folder, [450, 20])
    assert clean_up_shared(root, print) == 0


def test_a_directory_of_others_is_a_warning(folder: Path, tmp_path: Path) -> None:
    """What cannot be deleted is told, and fails nothing."""
    root = outbox_directory(tmp_path, folder, [450, 370, 290, 210, 130, 50])
    (folder / "errors").chmod(0o777)
    warnings: list[str] = []
    clean_up_shared(root, warnings.append)
    assert len(warnings) == 1
    assert str(folder / "errors") in warnings[0]
