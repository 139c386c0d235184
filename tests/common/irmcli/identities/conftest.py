"""Fixtures: tenants in the emulator, each with a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from irmemulator.graph_emulator import GraphEmulator, GraphOptions
from irmemulator.graph_tenant import GraphTenant
from irmemulator.synthetic_people import APP, TENANT

from tests.common.irmcli.identities.tenant_and_directory import START, TenantAndDirectory
from tests.fakes.clock import FakeClock

MakeTenant = Callable[..., TenantAndDirectory]


@pytest.fixture
def tenant_with(tmp_path: Path) -> Iterator[MakeTenant]:
    """Makes tenants with these users; other arguments are the emulator's options."""
    with ExitStack() as stack:
        emulators: list[GraphEmulator] = []

        def make(*users: Mapping[str, Any], **options: Any) -> TenantAndDirectory:
            clock = FakeClock(START)
            directory = tmp_path / f"graph-{len(emulators)}"
            directory.mkdir()
            tenant = GraphTenant(_each(users), now=clock.now)
            emulator = GraphEmulator(tenant, GraphOptions(TENANT, APP, **options), directory)
            emulators.append(stack.enter_context(emulator))
            return TenantAndDirectory(emulator, tmp_path / f"people-{len(emulators)}.sqlite", clock)

        yield make
        assert [emulator.failures for emulator in emulators] == [()] * len(emulators)


def _each(users: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [dict(user) for user in users]
