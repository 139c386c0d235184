"""The sender's heartbeat: recent, stale, or in the future after the clock was set back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from irmsplunk.splunk import heartbeat

NOW = 1_770_000_000.0


@pytest.mark.parametrize(
    ("at", "alive"),
    [
        (NOW, True),
        (NOW - 200, True),
        (NOW - 241, False),
        (NOW + 5, True),
        (NOW + 31, False),
        (NOW + 86_400, False),
        ("soon", False),
    ],
)
def test_only_a_recent_heartbeat_counts(tmp_path: Path, at: object, alive: bool) -> None:  # noqa: FBT001
    """An old one does not count, and neither does one in the future."""
    (tmp_path / heartbeat.FILE).write_text(json.dumps({"at": at, "pid": 1}))
    assert heartbeat.alive(str(tmp_path), NOW) is alive
    assert not heartbeat.alive(str(tmp_path / "none"), NOW)
