"""Fixtures: emulators of the connector, each with a client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import Options

from tests.common.irmemulator.client import ANY_HEADER, APP, EXPIRED_APP, JOB, OTHER_APP, Client


@pytest.fixture
def client_with() -> Iterator[Callable[..., Client]]:
    """Makes clients, each with an emulator of its own that is stopped at the end."""
    with ExitStack() as stack:
        emulators = []

        def make(options: Options | None = None, **settings: Any) -> Client:
            apps, jobs = (APP, OTHER_APP, EXPIRED_APP), settings.pop("jobs", (JOB, ANY_HEADER))
            emulator = stack.enter_context(PurviewEmulator(apps, jobs, options, **settings))
            emulators.append(emulator)
            return Client(emulator)

        yield make
        assert [emulator.failures for emulator in emulators] == [()] * len(emulators)


@pytest.fixture
def client(client_with: Callable[..., Client]) -> Client:
    """A client of an emulator with the default options."""
    return client_with()
