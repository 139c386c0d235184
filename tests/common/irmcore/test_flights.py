"""Attempts in the air: an impatient person at the keyboard leaves none of them behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from irmcore.disk import PosixDisk

from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector

#: Two uploads begin after one was accepted; both wait for a line of input before their answer.
DRAIN = """
import sys, threading
from dataclasses import replace
from irmcore.disk import PosixDisk
from irmcore.replies import Reply
from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row

posts, both, answer = [], threading.Barrier(2), threading.Event()

class Slow:
    def post(self, upload, commit):
        commit()
        posts.append(upload)
        if len(posts) > 1 and both.wait() == 0:
            print("on their way", flush=True)
            sys.stdin.readline()
            answer.set()
        if len(posts) > 1:
            answer.wait()
        return Reply(200)

connector = Connector(PosixDisk(), FakeClock(), rows=1, root=sys.argv[1])
connector.accept(map(row, range(3)))
connector.sender(Slow(), in_flight=2).drain()
"""


def test_who_is_interrupted_again_and_again_keeps_the_lock_until_all_have_landed(tmp_path: Path) -> None:
    """While uploads are on their way no other sender begins, however often Ctrl-C is pressed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", DRAIN, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "on their way\n", process.communicate()[1]
        connector = Connector(PosixDisk(), FakeClock(), root=str(tmp_path))
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)  # for it to do what it must not
            assert connector.box.sender_lock() is None
        _, said = process.communicate("\n", timeout=30)
        assert "KeyboardInterrupt" in said
        assert process.returncode != 0
    assert set(connector.states().values()) == {"done SENT"}
