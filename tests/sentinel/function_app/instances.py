"""Instances of the Function app: processes that invoke a function, with emulators instead of the services."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Invocation:
    """``code`` is 1 if the invocation failed, and ``log`` is everything that it logged."""

    code: int
    log: str


class Instances:
    """Starts instances with the same app settings. Each has a disk of its own."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self._directory = directory
        self.settings = dict(settings)
        self._started = 0

    def start(self, function: str, disk: str = "") -> subprocess.Popen[str]:
        """Invoke ``function`` on an instance: a new one, or the one with this ``disk``."""
        self._started += 1
        temporary = self._directory / (disk or f"instance-{self._started}")
        temporary.mkdir(mode=0o700, exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.functions_host", function],
            env={**kept, **self.settings, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def invoke(self, function: str, disk: str = "") -> Invocation:
        """Invoke ``function`` and wait until it is done."""
        process = self.start(function, disk)
        log, _ = process.communicate(timeout=100)
        return Invocation(process.returncode, log)
