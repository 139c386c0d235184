"""Worker processes: results in order, losses reported, and no process left behind."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from irmcore.intake import workers
from irmcore.intake.workers import MIN_BYTES, ChunkLost, Workers


def squares(first: int, step: int = 3, last: int = 20) -> Iterator[tuple[int, str]]:
    """The results of one of three workers: squares, and a text that is not UTF-8."""
    for number in range(first, last, step):
        yield number * number, "\udcff"


def results(processes: Workers) -> Iterator[Any]:
    """All results up to the end; "lost" for a lost chunk."""
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
    """The results come in the order of the chunks, whichever worker did them."""
    with Workers(3, squares, file) as processes:
        assert list(results(processes)) == [(number * number, "\udcff") for number in range(20)]


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_by_a_signal_that_the_caller_handles(name: signal.Signals, file: int) -> None:
    """A worker does not run the caller's handler, which is meant for the caller alone."""

    def work(number: int) -> Iterator[Any]:
        yield 1
        os.kill(os.getpid(), name)
        yield 2

    before = signal.signal(name, signal.SIG_IGN)
    try:
        with Workers(1, work, file) as processes:
            assert list(results(processes))[:2] == [1, "lost"]
    finally:
        signal.signal(name, before)


def test_the_chunks_of_a_killed_worker_are_lost(file: int) -> None:
    """Each remaining chunk of a killed worker is reported as lost; those of the others come."""

    def work(number: int) -> Iterator[Any]:
        if number == 1:
            yield 1
            os.kill(os.getpid(), signal.SIGKILL)
        yield from (found[0] for found in squares(number))

    with Workers(3, work, file) as processes:
        found = [next(each) for each in [results(processes)] for _ in range(9)]
    assert found == [0, 1, 4, 9, "lost", 25, 36, "lost", 64]


@pytest.mark.parametrize("sent", [b"\0\0\0", struct.pack(">Q", 9) + b"cut off"])
def test_a_result_that_is_cut_off_is_lost(sent: bytes, file: int) -> None:
    """A worker that is killed while it writes gives no part of a result."""

    def work(_: int) -> Iterator[Any]:
        yield 1
        (pipe,) = [each for each in range(3, 99) if is_pipe(each)]
        os.write(pipe, sent)
        os.kill(os.getpid(), signal.SIGKILL)

    with Workers(1, work, file) as processes:
        assert list(results(processes))[:2] == [1, "lost"]


def open_files() -> list[Path]:
    """The open files of this process."""
    return list(Path("/dev/fd").iterdir())


def is_pipe(descriptor: int) -> bool:
    """Whether the descriptor is open and a pipe."""
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def test_without_another_process_every_chunk_is_lost(file: int) -> None:
    """Where no process can be started, the caller does all chunks, and no pipe is left open."""
    child = os.fork()
    if not child:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
            if not os.getuid():
                os.setuid(65_534)  # the limit does not bind root
            before = open_files()
            with Workers(2, squares, file) as processes:
                lost = [next(each) for each in [results(processes)] for _ in range(2)]
            code = int((lost, open_files()) != (["lost", "lost"], before))
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_a_pipe_holds_a_mebibyte_where_the_system_allows_it(file: int) -> None:
    """So a worker goes on while the caller waits for another; a pipe of another size serves too."""
    size = min(1024 * 1024, int(Path("/proc/sys/fs/pipe-max-size").read_text()))
    with Workers(1, squares, file) as processes:
        processes.result(0)
        assert fcntl.fcntl(processes._started[0][1], 1032) == size  # noqa: SLF001 - F_GETPIPE_SZ
    workers._enlarge(file)  # noqa: SLF001 - no pipe, and so no size


def test_an_exception_in_a_worker_loses_the_chunk(file: int) -> None:
    """A worker that raises ends silently. The caller, who does the chunk again, sees the exception."""

    def work(number: int) -> Iterator[Any]:
        raise ValueError(number)
        yield

    with Workers(2, work, file) as processes, pytest.raises(ChunkLost):
        processes.result(0)


def test_no_process_is_left_behind(file: int) -> None:
    """Workers with unread results end with the context and leave no zombies."""

    def work(number: int) -> Iterator[Any]:
        while True:
            yield bytes(100_000 + number)

    with Workers(2, work, file) as processes:
        assert len(processes.result(0)) == 100_000
        started = [process for process, _ in processes._started]  # noqa: SLF001 - the processes are not public
    for process in started:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_worker_holds_no_lock_and_no_file(tmp_path: Path, file: int) -> None:
    """A lock that the parent releases is free at once, whatever the workers do."""
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


def test_when_workers_are_worth_it() -> None:
    """Only for a large input, only in a process with one thread, and never more than a few."""
    assert workers.worker_count(MIN_BYTES - 1) == 0
    processors = os.sched_getaffinity(0)
    assert workers.worker_count(4 * 1024 * 1024) == (min(len(processors), 4) if len(processors) > 1 else 0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        assert workers.worker_count(MIN_BYTES) == 0
    finally:
        os.sched_setaffinity(0, processors)
    running = threading.Event()
    other = threading.Thread(target=running.wait)
    other.start()
    try:
        assert workers.worker_count(MIN_BYTES) == 0
    finally:
        running.set()
        other.join()
