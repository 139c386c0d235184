"""A process to be killed: it has imported everything, and forks a worker for each line of its input.

    python worker.py DIRECTORY

A worker exports from the emulator announced in DIRECTORY/api to the outbox in DIRECTORY, without sending, by
the real client and the real intake. The answer to a line is the worker's process ID, and to `wait PID` its
exit status. `go OUTBOX DAYS` uses another outbox and another beginning; `stopped OUTBOX DAYS` waits until it
is continued.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from datetime import timedelta
from pathlib import Path

from tests.sentinel.irmsentinel.export.exports import PLAIN, Stage, export, workspace

DAYS = 20


def work(directory: Path, act: str, outbox: str = "outbox", days: str = str(DAYS)) -> None:
    """One run, as far back as the rows go."""
    source, session = workspace(directory / "api"), Stage(directory, outbox=outbox).session()
    if act == "stopped":
        source.query("print 1")  # signed in; what is killed is the export
        os.kill(os.getpid(), signal.SIGSTOP)
    times = {"first": timedelta(days=int(days)), "overlap": timedelta(0)}
    # Kills at random need a run that takes its time; those at each call need many runs.
    quick = {} if outbox == "outbox" else {"query": PLAIN}
    export(source, session, **times, **quick)


def spawn(directory: Path, words: list[str]) -> int:
    """The process ID of a worker; one that stops itself has stopped."""
    pid = os.fork()
    if not pid:
        try:
            work(directory, *words)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - told to the test by the status
            (directory / "failed").write_text(traceback.format_exc())
            os._exit(1)
    if words[0] == "stopped":
        os.waitpid(pid, os.WUNTRACED)
    return pid


def main(directory: Path) -> None:
    """Fork workers as the input says."""
    for line in sys.stdin:
        words = line.split()
        if words[0] == "wait":
            _, status = os.waitpid(int(words[1]), 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = spawn(directory, words)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
