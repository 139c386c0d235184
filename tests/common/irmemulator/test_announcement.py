"""The file by which other processes find a running emulator."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from irmemulator.announcement import NotAnnouncedError, read_announcement, write_announcement


def test_an_announcement_is_read_back_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """The file has mode 0600, also where an older one was open to others, and nothing else is left."""
    file = tmp_path / "emulator.json"
    file.write_text("old")
    file.chmod(0o644)
    write_announcement(file, {"url": "https://127.0.0.1:1", "secret": "s"})
    assert read_announcement(file) == {"url": "https://127.0.0.1:1", "secret": "s"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff"])
def test_anything_but_an_announcement_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, damaged or something else is one error, whatever is wrong with it."""
    file = tmp_path / "emulator.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(NotAnnouncedError):
        read_announcement(file)
