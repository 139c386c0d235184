"""Collectors to be killed: a nursery that has imported everything, and forks collectors as it is told.

    python collect_worker.py OUTBOX TENANT

Each line of its input forks a collector that makes rounds without end (``load``) or one round (``once``); the
answer is its process id. ``wait PID`` is answered with its exit status.
"""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import msal  # noqa: F401 - else each collector would load it, when it first asks for a token
from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.errors import IrmError
from irmcore.outbox import Origin
from irmsentinel import collector, collector_settings, rehearsal
from irmsentinel.collector_settings import Collecting
from irmsentinel.station import Station


def settings(directory: Path) -> Collecting:
    """The stand-in's settings."""
    plain = collector_settings.parse(rehearsal.settings_text(), "collector.yaml")
    here = rehearsal.settings_at(plain, directory)
    return replace(here, health=None, options=replace(here.options, connections=3))


def work(act: str, outbox: str, directory: Path) -> None:
    """Rounds of a collector; of ``load``, each made durable in as many parts as can be."""
    if act == "load":
        collector.COMMIT_BLOBS = 2
    station = Station(
        settings(directory),
        outbox,
        rehearsal.secret,
        Origin("t", "h", "tests"),
        disk=PosixDisk(),
        clock=SystemClock(),
    )
    while True:
        try:
            station.round()
        except IrmError:
            if act == "once":
                raise
        if act == "once":
            return


def main(outbox: str, directory: Path) -> None:
    """Carry out the lines of standard input."""
    for line in sys.stdin:
        act, _, rest = line.strip().partition(" ")
        if act == "wait":
            _, status = os.waitpid(int(rest), 0)
            print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the nursery's answer
            continue
        pid = os.fork()
        if pid:
            print(pid, flush=True)  # noqa: T201 - the same
            continue
        code = 1
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            work(act, outbox, directory)
            code = 0
        except BaseException:  # noqa: BLE001 - shown by the test, through standard error
            traceback.print_exc()
        finally:
            os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
