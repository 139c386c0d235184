"""The Splunk app's archive, built once per run: xdist's workers share it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}


def build(into: Path, *options: str) -> Path:
    """Build the app into that directory and return its archive."""
    made = subprocess.run(
        [sys.executable, ROOT / "package.py", "--only", "splunk", "--into", into, *options],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return next(into.glob("*.spl"))


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app as package.py builds it from this tree."""
    # Under xdist, each worker's base directory lies in one directory that belongs to the run.
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    into = shared / "app-archive"
    with (shared / "app-archive.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return next(into.glob("*.spl"), None) or build(into)
