"""Worker processes that share one input: worker k of n reads the input by itself and does every n-th chunk.

Results come in the order of the chunks. A result that does not come, because its process was killed or is
out of memory, raises ChunkLost, and the caller does that chunk itself. A worker writes to nothing but its
pipe, holds no lock, and ends when the process that started it ends. Workers need fork() and a single thread.

concurrent.futures.ProcessPoolExecutor does not serve here: its processes outlive a parent that is killed and
keep the intake lock, so that no later run gets it (docs/decisions/0006-what-speed-is-worth-its-lines.md).
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
import struct
import threading
from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO, Callable

#: More are never started, however many processors there are: a search head has other work.
MAX_WORKERS = 4
#: Bytes of the smallest input that pays for the start of workers.
MIN_BYTES = 4 * 1024 * 1024

_LENGTH = struct.Struct(">Q")
#: What a worker sends at the end of the input.
_END = None
#: Bytes that a worker's pipe holds (Linux): the worker goes on while the caller waits for another.
_PIPE_BYTES = 1024 * 1024
_F_SETPIPE_SZ = 1031  # Python 3.9's fcntl does not name it

#: From a worker's number to the results of its chunks, in order. Each must be something marshal takes.
Work = Callable[[int], Iterator[Any]]


class ChunkLost(Exception):
    """The worker did not give the result of this chunk."""


def worker_count(size: int) -> int:
    """How many workers an input of ``size`` bytes is worth on this machine; 0 for none."""
    if size < MIN_BYTES or not hasattr(os, "fork") or threading.active_count() > 1:
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors, MAX_WORKERS) if processors > 1 else 0


class Workers:
    """``count`` processes that do ``work``; a context that ends them all."""

    def __init__(self, count: int, work: Work, file: int) -> None:
        """``file`` is the descriptor of the input, the only open file that the workers keep."""
        self._work, self._file = work, file
        self._started: list[tuple[int, BinaryIO]] = []
        self._count = count
        for number in range(count):
            self._start(number)

    def __enter__(self) -> Workers:  # noqa: PYI034 - Self is not in Python 3.9's typing
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, pipe in self._started:
            pipe.close()  # a worker that still writes to it ends
        for process, _ in self._started:
            try:
                os.waitpid(process, 0)
            except ChildProcessError:
                continue  # the caller ignores SIGCHLD, so there is nothing to wait for

    def result(self, number: int) -> Any:
        """The result of chunk ``number``. To be called with 0, 1, 2 …; None after the last chunk.

        Raises ChunkLost.
        """
        worker = number % self._count
        if worker >= len(self._started):
            raise ChunkLost
        pipe = self._started[worker][1]
        length = pipe.read(_LENGTH.size)
        if len(length) < _LENGTH.size:
            raise ChunkLost
        (size,) = _LENGTH.unpack(length)
        data = pipe.read(size)
        if len(data) < size:
            raise ChunkLost
        return marshal.loads(data)  # noqa: S302 - from a fork of this process

    def _start(self, number: int) -> None:
        read, write = os.pipe()
        try:
            process = os.fork()
        except OSError:  # out of processes or memory: go on with the workers that have started
            os.close(read)
            os.close(write)
            return
        if process == 0:
            _run_worker(write, self._file, partial(self._work, number))
        os.close(write)
        self._started.append((process, open(read, "rb")))  # noqa: SIM115 - closed in __exit__


def _run_worker(pipe: int, file: int, work: Callable[[], Iterator[Any]]) -> None:
    """Do the work, then exit without running anything that belongs to the parent."""
    code = 1
    try:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_DFL)
        _close_all_but({pipe, file})  # above all the parent's locks
        _enlarge(pipe)
        gc.disable()  # a worker makes no cycles and lives for seconds
        with open(pipe, "wb") as out:
            for result in work():
                _send(out, result)
            _send(out, _END)
        code = 0
    except BaseException:  # noqa: BLE001 - the parent sees the pipe end and does the rest itself
        code = 1
    finally:
        os._exit(code)


def _send(out: BinaryIO, result: Any) -> None:
    data = marshal.dumps(result)
    out.write(_LENGTH.pack(len(data)) + data)
    out.flush()


def _enlarge(pipe: int) -> None:
    import fcntl  # noqa: PLC0415 - not on Windows

    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return  # not Linux, or a lower limit: the worker waits a little more often


def _close_all_but(kept: set[int]) -> None:
    for directory in ("/proc/self/fd", "/dev/fd"):
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            if name.isdigit() and int(name) not in kept:
                _close(int(name))
        return


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return  # the descriptor of the listing itself
