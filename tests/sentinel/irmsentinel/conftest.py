"""Fixtures of the collector's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.sentinel.irmsentinel.collector.collecting import Rig


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Makes rigs whose emulators run until the test ends."""
    with ExitStack() as stack:

        def make(**options: Any) -> Rig:
            rig = Rig(tmp_path, **options)
            stack.enter_context(rig.emulator)
            return rig

        yield make


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A rig with a subscription and no content."""
    return make_rig()
