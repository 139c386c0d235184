"""A process to be killed: it has imported everything, and forks a worker for each line of its input.

    python worker.py DIRECTORY

A worker exports from the stand-in announced in DIRECTORY/api to the outbox in DIRECTORY, without
sending, by the real client and the real intake. Each line is answered with the worker's process id,
`wait PID` with its status.
"""

from __future__ import annotations

import os
import sys
import traceback
from datetime import timedelta
from pathlib import Path

from tests.sentinel.exports import Stage, export, workspace

DAYS = 20


def work(directory: Path) -> None:
    """One run, as far back as the rows go."""
    times = {"first": timedelta(days=DAYS), "overlap": timedelta(0)}
    export(workspace(directory / "api"), Stage(directory).way(), **times)


def main(directory: Path) -> None:
    """Fork as told."""
    for line in sys.stdin:
        if line.startswith("wait"):
            _, status = os.waitpid(int(line.split()[1]), 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if not answer:
                try:
                    work(directory)
                    os._exit(0)
                except BaseException:  # noqa: BLE001 - told to the test by the status
                    (directory / "failed").write_text(traceback.format_exc())
                    os._exit(1)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
