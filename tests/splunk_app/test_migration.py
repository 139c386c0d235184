"""Nobody has a shell in Splunk: the app migrates and mends an outbox before it queues or sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.operations.rewriting import migrate_if_old
from irmcore.outbox import Outbox

from tests.common.irmcore.outbox import format_3


def test_an_outbox_of_format_3_is_migrated_once(tmp_path: Path) -> None:
    """The first caller migrates it; the next finds nothing to do."""
    format_3.lay(PosixDisk(), str(tmp_path))
    outbox = Outbox(PosixDisk(), SystemClock(), str(tmp_path / "small"))
    assert [migrate_if_old(outbox), migrate_if_old(outbox)] == [True, False]
    outbox.check()


@pytest.mark.parametrize("name", ["FORMAT", "outbox.json"])
def test_what_says_which_outbox_it_is_comes_back(tmp_path: Path, name: str) -> None:
    """Each of the two files is restored from what is left."""
    format_3.lay(PosixDisk(), str(tmp_path))
    outbox = Outbox(PosixDisk(), SystemClock(), str(tmp_path / "small"))
    migrate_if_old(outbox)
    before = outbox.identity()
    (tmp_path / "small" / name).unlink()
    assert migrate_if_old(outbox)
    outbox.check()
    after = outbox.identity()
    assert before is not None
    assert after is not None
    assert after.id == before.id


def test_no_outbox_is_none_to_migrate(tmp_path: Path) -> None:
    """Nothing is created."""
    assert not migrate_if_old(Outbox(PosixDisk(), SystemClock(), str(tmp_path / "none")))
    assert list(tmp_path.iterdir()) == []
