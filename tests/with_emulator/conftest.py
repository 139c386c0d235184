from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.with_emulator.connector import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A connector that sends to a running emulator."""
    made = Rig(tmp_path)
    made.start()
    yield made
    made.emulator.stop()
    assert made.emulator.failures == ()
