"""Run a command of `irmexport` in a process of its own, and log what it prints.

A process, because it can be ended wherever it is: every command may be killed at any moment. It gets its
time, and is killed before the host would kill the whole instance.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from irmsentinel.functions.app_settings import AppSettings

LOG = logging.getLogger("irmexport")
LOG.setLevel(logging.INFO)  # whatever the host's default is: an alert needs the last line
logging.getLogger("azure").setLevel(logging.WARNING)  # it logs each request
#: Seconds for the commands of one invocation: less than `functionTimeout` in host.json.
BUDGET = 55 * 60.0


@dataclass(frozen=True)
class Ran:
    """``code`` is the command's exit code, None if it was stopped. ``output`` is its standard output."""

    code: int | None
    output: str


def run(settings: AppSettings, arguments: Sequence[str], *, given: str = "", budget: float = BUDGET) -> Ran:
    """Run ``irmexport ARGUMENTS`` for at most ``budget`` seconds. ``given`` is its standard input."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as messages,
        tempfile.TemporaryFile("w+", encoding="utf-8") as rows,
    ):
        rows.write(given)
        rows.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "irmcli", *arguments],
            env=dict(settings.environment),
            stdin=rows,
            stdout=subprocess.PIPE,
            stderr=messages,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # so that its workers end with it
        )
        stopped = threading.Event()

        def stop() -> None:
            stopped.set()
            _kill(process)

        alarm = threading.Timer(budget, stop)
        alarm.start()
        try:
            output = _log(process.stdout, logging.INFO)
            code = process.wait()
        finally:
            alarm.cancel()
            _kill(process)
        messages.seek(0)
        _log(messages, logging.WARNING)
    return Ran(None if stopped.is_set() else code, output)


def _log(stream: IO[str] | None, level: int) -> str:
    """Log each line as it comes. Returns all of them.

    In the thread of the invocation: the host relates no other thread's lines to it.
    """
    lines = []
    for line in stream or ():
        lines.append(line)
        if line.strip():
            LOG.log(level, "%s", line.rstrip())
    return "".join(lines)


def _kill(process: subprocess.Popen[str]) -> None:
    """End the process, and what it started and left."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
