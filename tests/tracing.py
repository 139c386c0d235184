"""Kill a process as it enters a system call, with strace: a test of it is marked ``needs("strace")``."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def traced(pid: int, call: str, number: int, output: Path) -> Iterator[None]:
    """A process that has stopped itself, and goes on to be killed as it enters its ``number``th ``call``.

    Each of its threads counts for itself: it is killed by the first that gets so far.
    """
    what = (f"trace={call}", "signal=none", f"inject={call}:signal=SIGKILL:when={number}")
    options = [option for part in what for option in ("-e", part)]
    command = ["strace", "-f", "-q", "-o", output, *options, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as strace:
        status = Path(f"/proc/{pid}/status")
        while "(tracing stop)" not in status.read_text():
            assert strace.poll() is None
        os.kill(pid, signal.SIGCONT)
        yield
