from datetime import UTC, datetime
from pathlib import Path

import pytest
from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.errors import DamageError
from irmcore.outbox import Outbox
from irmsentinel.export.cursor import Cursor, Keeper

GUID = "00000000-0000-0000-0000-00000000c0de"
DAY = datetime(2026, 11, 20, tzinfo=UTC)
LATER = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """A new outbox."""
    made = Outbox(PosixDisk(), SystemClock(), str(tmp_path / "box"))
    made.create()
    return made


def test_a_cursor_is_what_was_written(outbox: Outbox) -> None:
    """By another process as well; before that there is none."""
    assert Keeper(outbox, "okta", GUID).load() is None
    Keeper(outbox, "okta", GUID).move(DAY, LATER)
    assert Keeper(outbox, "okta", GUID).load() == Cursor(DAY, LATER)


def test_a_cursor_never_goes_back(outbox: Outbox) -> None:
    """An overlap that is read again does not move it."""
    keeper = Keeper(outbox, "okta", GUID)
    keeper.move(LATER, LATER)
    keeper.move(DAY, LATER)
    assert keeper.load() == Cursor(LATER, LATER)


def test_each_aggregation_and_workspace_has_its_own(outbox: Outbox) -> None:
    """No text from outside stands in a path."""
    Keeper(outbox, "okta", GUID).move(DAY, DAY)
    assert Keeper(outbox, "box", GUID).load() is None
    assert Keeper(outbox, "okta", "another").load() is None
    Keeper(outbox, "okta", "../../up").move(DAY, DAY)
    assert Keeper(outbox, "okta", "../../up").load() is not None
    assert not any("up" in name for name in outbox.disk.names(outbox.path))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"format": 2, "read_to": "x"}', b'{"format": 1, "read_to": 7}']
)
def test_a_damaged_cursor_is_told_with_what_to_do(outbox: Outbox, data: bytes) -> None:
    """Rather than read as none, or as another time."""
    keeper = Keeper(outbox, "okta", GUID)
    keeper.move(DAY, DAY)
    (name,) = (name for name in outbox.disk.names(outbox.path) if name.startswith("cursor-"))
    Path(outbox.path, name).write_bytes(data)
    with pytest.raises(DamageError, match="Remove it"):
        keeper.load()


def test_a_box_that_is_not_there_has_none(tmp_path: Path) -> None:
    """A dry run makes no outbox."""
    assert Keeper(Outbox(PosixDisk(), SystemClock(), str(tmp_path / "none")), "okta", GUID).load() is None
