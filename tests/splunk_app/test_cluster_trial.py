"""Two days of a search head cluster whose members are killed; `make cluster` runs a week."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.splunk_app.cluster_trial import Options, world

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.needs("python3.9"),
    pytest.mark.needs("python3.13"),
]


def test_killed_at_random(archive: Path, tmp_path: Path) -> None:
    """No row is lost or sent twice, and no more is held than was between COMMIT and the reply."""
    with world(tmp_path, archive, 1, Options(lag=0.2, day=3.0)) as trial:
        figures = trial.run(2)
    assert figures.wrong() == []
    assert figures.kills
