"""Azurite and moto for the tests of a session. Older Pythons lack what they need, so it is loaded late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fakes.cloud_servers import Azurite, MotoS3


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Azurite, for the whole session."""
    from tests.fakes.cloud_servers import Azurite  # noqa: PLC0415

    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoS3]:
    """The S3 of moto, for the whole session."""
    from tests.fakes.cloud_servers import MotoS3  # noqa: PLC0415

    with MotoS3(tmp_path_factory.mktemp("s3")) as server:
        yield server
