"""A crew: stretches in their order, told where one is lost, and nobody left behind."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from irmcore.intake import workers
from irmcore.intake.workers import MIN_BYTES, ChunkLost, Workers


def squares(first: int, step: int = 3, last: int = 20) -> Iterator[tuple[int, str]]:
    """What a member of three gives: its numbers' squares, and a text that is no UTF-8."""
    for number in range(first, last, step):
        yield number * number, "\udcff"


def gathered(processes: Workers) -> Iterator[Any]:
    """All stretches up to the end; "lost" for one that is."""
    number = 0
    while True:
        try:
            found = processes.result(number)
        except ChunkLost:
            found = "lost"
        if found is None or number > 100:
            return
        yield found
        number += 1


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """The descriptor of an input."""
    with (tmp_path / "input").open("wb") as opened:
        yield opened.fileno()


def test_results_come_in_order(file: int) -> None:
    """Each member's results are taken in turn, to the end of the input."""
    with Workers(3, squares, file) as processes:
        assert list(gathered(processes)) == [(number * number, "\udcff") for number in range(20)]


def test_a_member_that_dies_is_told(file: int) -> None:
    """Each stretch of a member that was killed is told as lost; those of the others come."""

    def work(number: int) -> Iterator[Any]:
        if number == 1:
            yield 1
            os.kill(os.getpid(), signal.SIGKILL)
        yield from (found[0] for found in squares(number))

    with Workers(3, work, file) as processes:
        found = [next(each) for each in [gathered(processes)] for _ in range(9)]
    assert found == [0, 1, 4, 9, "lost", 25, 36, "lost", 64]


def test_an_error_of_a_member_is_a_loss(file: int) -> None:
    """An exception ends its member without a word; whoever does the stretch again meets it."""

    def work(number: int) -> Iterator[Any]:
        raise ValueError(number)
        yield

    with Workers(2, work, file) as processes, pytest.raises(ChunkLost):
        processes.result(0)


def test_nobody_is_left_behind(file: int) -> None:
    """Members that have more to say than is asked for end with the context, and are no zombies."""

    def work(number: int) -> Iterator[Any]:
        while True:
            yield bytes(100_000 + number)

    with Workers(2, work, file) as processes:
        assert len(processes.result(0)) == 100_000
        started = [process for process, _ in processes._started]  # noqa: SLF001 - who they are is not told
    for process in started:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_member_holds_no_lock_and_no_file(tmp_path: Path, file: int) -> None:
    """A lock that is released here is free at once, whatever its members do."""
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)

    def work(_: int) -> Iterator[Any]:
        yield sorted(int(path.name) for path in Path("/dev/fd").iterdir())
        while True:
            yield bytes(100_000)

    with Workers(2, work, file) as processes:
        for number in range(2):
            open_files = processes.result(number)
            assert lock not in open_files
            assert len(open_files) <= 3, "the input, its pipe, and the listing"
        os.close(lock)
        again = os.open(tmp_path / "lock", os.O_RDWR)
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(again)


def test_when_a_crew_is_worth_it() -> None:
    """For a large input, in a process of one thread; never more than a few."""
    assert workers.worker_count(MIN_BYTES - 1) == 0
    assert 0 <= workers.worker_count(MIN_BYTES) <= workers.MAX_WORKERS
    running = threading.Event()
    other = threading.Thread(target=running.wait)
    other.start()
    try:
        assert workers.worker_count(MIN_BYTES) == 0
    finally:
        running.set()
        other.join()
