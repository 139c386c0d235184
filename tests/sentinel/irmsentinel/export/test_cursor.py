from datetime import UTC, datetime
from pathlib import Path

import pytest
from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.errors import DamageError
from irmcore.outbox import Outbox
from irmsentinel.export.cursor import Cursor, CursorFile

GUID = "00000000-0000-0000-0000-00000000c0de"
DAY = datetime(2026, 11, 20, tzinfo=UTC)
LATER = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """A new outbox."""
    made = Outbox(PosixDisk(), SystemClock(), str(tmp_path / "box"))
    made.create()
    return made


def test_a_cursor_is_read_back(outbox: Outbox) -> None:
    """Another process reads it too. Before the first run there is none."""
    assert CursorFile(outbox, "okta", GUID).load() is None
    CursorFile(outbox, "okta", GUID).move(DAY, LATER)
    assert CursorFile(outbox, "okta", GUID).load() == Cursor(DAY, LATER)


def test_a_cursor_never_moves_back(outbox: Outbox) -> None:
    """Reading an overlap again does not move it."""
    cursor_file = CursorFile(outbox, "okta", GUID)
    cursor_file.move(LATER, LATER)
    cursor_file.move(DAY, LATER)
    assert cursor_file.load() == Cursor(LATER, LATER)


def test_each_aggregation_and_workspace_has_its_own(outbox: Outbox) -> None:
    """No text from outside becomes part of a path."""
    CursorFile(outbox, "okta", GUID).move(DAY, DAY)
    assert CursorFile(outbox, "box", GUID).load() is None
    assert CursorFile(outbox, "okta", "another").load() is None
    CursorFile(outbox, "okta", "../../up").move(DAY, DAY)
    assert CursorFile(outbox, "okta", "../../up").load() is not None
    assert not any("up" in name for name in outbox.disk.names(outbox.path))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"format": 2, "read_to": "x"}', b'{"format": 1, "read_to": 7}']
)
def test_a_damaged_cursor_is_an_error_with_a_next_step(outbox: Outbox, data: bytes) -> None:
    """It is not read as no cursor, or as another time."""
    cursor_file = CursorFile(outbox, "okta", GUID)
    cursor_file.move(DAY, DAY)
    (name,) = (name for name in outbox.disk.names(outbox.path) if name.startswith("cursor-"))
    Path(outbox.path, name).write_bytes(data)
    with pytest.raises(DamageError, match="Remove it"):
        cursor_file.load()


def test_a_missing_outbox_has_no_cursor(tmp_path: Path) -> None:
    """A dry run creates no outbox."""
    assert CursorFile(Outbox(PosixDisk(), SystemClock(), str(tmp_path / "none")), "okta", GUID).load() is None
