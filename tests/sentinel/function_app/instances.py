"""Instances of the Function app: processes that invoke a function, with emulators instead of the services."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Invocation:
    """``code`` is 1 if the invocation failed, and ``log`` is everything that it logged."""

    code: int
    log: str


def _descendants(pid: int) -> list[int]:
    """A process and those that it started, while they run."""
    parents: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parents[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found


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
            start_new_session=True,
        )

    def kill(self, instance: subprocess.Popen[str]) -> None:
        """End an instance with all of its processes, as the platform does."""
        for child in _descendants(instance.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        instance.communicate()

    def invoke(self, function: str, disk: str = "") -> Invocation:
        """Invoke ``function`` and wait until it is done."""
        process = self.start(function, disk)
        log, _ = process.communicate(timeout=100)
        return Invocation(process.returncode, log)
