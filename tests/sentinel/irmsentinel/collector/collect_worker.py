"""Collectors to be killed: a process that has imported everything forks collectors as its input says.

    python collect_worker.py OUTBOX TENANT SOURCE

Each line of input forks a collector that makes rounds for ever (``load``) or one round (``once``); the answer
is its process ID. The answer to ``wait PID`` is its exit status. ``stopped PLACE`` makes a round with the
outbox PLACE once it is continued; ``again PLACE`` makes one round, and a second one in which nothing may
wait.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import msal  # noqa: F401 - else each collector would load it, when it first asks for a token
from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.errors import IrmError
from irmcore.operations import operations
from irmcore.outbox import Origin
from irmsentinel.collector import settings as collector_settings
from irmsentinel.collector.service import CollectorService
from irmsentinel.collector.settings import CollectorSettings
from irmsentinel.emulators.collector_session import read_secret, settings_text, use_emulator


def settings(directory: Path, source: str, commit_blobs: int) -> CollectorSettings:
    """The emulator's settings, with durable parts of this size."""
    (plain,) = collector_settings.parse(settings_text(), "collector.yaml", source)
    here = use_emulator(plain, directory)
    return replace(here, health=None, options=replace(here.options, connections=3, commit_blobs=commit_blobs))


def work(act: str, outbox: str, directory: Path, source: str) -> None:
    """Rounds of a collector; one that is to be killed commits in as many parts as possible."""
    collector_service = CollectorService(
        settings(directory, source, commit_blobs=2 if act in ("load", "stopped") else 500),
        outbox,
        read_secret,
        Origin("t", "h", "tests"),
        disk=PosixDisk(),
        clock=SystemClock(),
    )
    if act == "stopped":
        collector_service.feed.check()  # signed in; what is killed is the round
        os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        try:
            collector_service.round()
        except IrmError:
            if act != "load":
                raise
        if act in ("once", "stopped"):
            return
        if act == "again":
            operations.resume(collector_service.outbox, who="me")
            act = "once"


def spawn(act: str, outbox: str, directory: Path, source: str) -> int:
    """The process ID of a collector; one that stops itself has stopped."""
    pid = os.fork()
    if pid:
        if act == "stopped":
            os.waitpid(pid, os.WUNTRACED)
        return pid
    code = 1
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        work(act, outbox, directory, source)
        code = 0
    except BaseException:  # noqa: BLE001 - shown by the test, through standard error
        traceback.print_exc()
    finally:
        os._exit(code)


def main(outbox: str, directory: Path, source: str) -> None:
    """Carry out the lines of standard input."""
    for line in sys.stdin:
        act, _, rest = line.strip().partition(" ")
        if act == "wait":
            _, status = os.waitpid(int(rest), 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = spawn(act, rest or outbox, directory, source)
        print(answer, flush=True)  # noqa: T201 - the nursery's answer


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
