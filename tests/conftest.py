"""What all tests share. Also read by the core's tests on Python 3.9."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest
from hypothesis import settings

pytest_plugins = ["tests.browser", "tests.built_app", "tests.cloud", "tests.needs", "pytester"]

# A busy machine is no failure of an example; pytest's timeout catches what hangs.
settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def csvs_own_limit() -> Iterator[None]:
    """Csv's limit of a field, 131,072 characters, as in a process that has not changed it."""
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)
