"""A disk that is really full, in a process with a file system of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


FULL = "the disk or its quota is full; nothing was changed"
ACTIONS = ("sent", "resend", "withdraw", "requeue", "resume", "reconcile")


@pytest.mark.needs("tmpfs")
def test_a_disk_without_a_free_byte(tmp_path: Path) -> None:
    """On a full disk new work is refused, and what is queued is sent once and gets its receipt.

    What a person does is not done, and says so; once there is space it is.
    """
    script = Path(__file__).with_name("disk_of_its_own.py")
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", sys.executable, script, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'common'}"},
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert results == {
        "a limit on the size of files": "the disk reported an error (EFBIG); nothing of it was accepted",
        "free": 0,
        "new work": results["new work"],
        "sent": [3, 0, 0],
        "states": ["done SENT"] * 3,
        "sent after": 0,
        "states after": ["done SENT"] * 3,
        "skipped": 6,
        "sent in the end": 2,
        "actions": {
            **{name: [FULL, True] for name in ACTIONS},
            **{f"{name} again": "done" for name in ACTIONS},
        },
    }
    assert "full" in results["new work"]
