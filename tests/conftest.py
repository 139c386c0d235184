"""What all tests share. Also read by the core's tests on Python 3.9."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.browser", "tests.built_app", "tests.needs", "pytester"]

# A busy machine is no failure of an example; pytest's timeout catches what hangs.
settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")
