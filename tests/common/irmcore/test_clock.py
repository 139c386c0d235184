"""Times of manifests and messages."""

from __future__ import annotations

import pytest
from irmcore.clock import iso


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_682_315_576.962686, "2023-04-24T05:52:56.962Z"),
        (1_767_323_045.678, "2026-01-02T03:04:05.678Z"),
        (1_767_323_045, "2026-01-02T03:04:05.000Z"),
    ],
)
def test_a_moment(seconds: float, text: str) -> None:
    """A time is written in UTC with milliseconds, whatever the machine's zone."""
    assert iso(seconds) == text
