"""Uploads in flight: each ends once, in any order, and none is left behind."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Callable

import pytest
from irmcore.disk import PosixDisk
from irmcore.http.outcome import Failure, Outcome, Reply
from irmcore.http.upload import Upload

from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row

#: Two uploads begin after one was accepted; both wait for a line of input before the reply.
DRAIN = """
import signal, sys, threading
from dataclasses import replace
from irmcore.disk import PosixDisk
from irmcore.http.outcome import Reply
from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
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
    """While uploads run, no other sender begins, however often Ctrl-C is pressed."""
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
            time.sleep(0.3)  # time for the mistake to happen
            assert connector.outbox.sender_lock() is None
        _, said = process.communicate("\n", timeout=30)
        assert "KeyboardInterrupt" in said
        assert process.returncode != 0
    assert set(connector.states().values()) == {"done SENT"}


class Unsynced(PosixDisk):
    """A disk without syncs, on which ``fails`` decides which writes in place fail."""

    def __init__(self, fails: Callable[[bytes], bool]) -> None:
        self._fails = fails

    def sync(self, path: str) -> None:
        return

    def sync_dir(self, path: str) -> None:
        return

    def write_at(self, path: str, offset: int, data: bytes, *, sync: bool = False) -> None:
        if self._fails(data):
            raise OSError(errno.EIO, "Input/output error")
        super().write_at(path, offset, data)

    def append(self, path: str, data: bytes, *, sync: bool = False) -> None:
        super().append(path, data)


class Answering:
    """A service that gives any of these replies after a moment, and records each post and each file kept."""

    def __init__(self, rng: random.Random, answers: list[Outcome]) -> None:
        self._rng, self._answers = rng, answers
        self._lock = threading.Lock()
        self.posts: list[tuple[str, Outcome]] = []
        self.kept: Counter[str] = Counter()
        self._air: set[str] = set()
        self.most = 0

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
        with self._lock:
            answer, moment = self._rng.choice(self._answers), self._rng.uniform(0.0, 0.003)
            self.posts.append((upload.file_name, answer))
            self._air.add(upload.file_name)
            self.most = max(self.most, len(self._air))
        try:
            time.sleep(moment)  # so that uploads end in any order
            if isinstance(answer, Failure) and not answer.committed:
                return answer
            commit()
            time.sleep(moment)
            if isinstance(answer, Failure) or answer.status == 200:
                with self._lock:
                    self.kept[upload.file_name] += 1
            return answer
        finally:
            with self._lock:
                self._air.discard(upload.file_name)


ANSWERS: list[Outcome] = [Reply(status) for status in (500, 400, 401, 403)]
ANSWERS += [Reply(429, wait=3.0), Failure("reset", committed=True), Failure("reset", committed=False)]


@pytest.mark.parametrize("failing", [False, True])
def test_any_answers_to_four_at_once(tmp_path: Path, *, failing: bool) -> None:
    """Whatever the replies and their order, no file is kept twice and each batch ends once."""
    most = 0
    rng = random.Random(20261120)  # noqa: S311 - a service's moods, not secrets
    disk = Unsynced(lambda data: failing and b"COMMIT" in data and rng.random() < 0.1)
    for number in range(8):
        clock = FakeClock()
        connector = Connector(disk, clock, rows=1, root=str(tmp_path / str(number)))
        (tmp_path / str(number)).mkdir(mode=0o700)
        connector.accept(map(row, range(12)))
        service = Answering(rng, [*[Reply(200)] * 12, *ANSWERS])
        queued = 12
        while queued:
            posted = len(service.posts)
            report = connector.sender(service, in_flight=4).drain()
            assert report.sent + report.held + report.dead + report.queued == queued, report
            refreshed = {name for name, answer in service.posts[posted:] if answer == Reply(401)}
            times = Counter(name for name, _ in service.posts[posted:] if name not in refreshed)
            assert set(times.values()) <= {1}
            queued = report.queued
            clock.advance(3_700.0)
        assert set(service.kept.values()) == {1}
        assert len(connector.states()) == 12
        most = max(most, service.most)
    assert most == 4
