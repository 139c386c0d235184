"""The sender's sign of life: fresh, stale, or from a clock that was set back."""

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
def test_a_sign_of_life_is_of_now(tmp_path: Path, at: object, alive: bool) -> None:  # noqa: FBT001
    """An old one says nothing, and neither does one of the future."""
    (tmp_path / heartbeat.FILE).write_text(json.dumps({"at": at, "pid": 1}))
    assert heartbeat.alive(str(tmp_path), NOW) is alive
    assert not heartbeat.alive(str(tmp_path / "none"), NOW)
