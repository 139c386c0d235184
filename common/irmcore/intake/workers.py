"""A crew of processes that shape one input: each walks it by itself and does every so-manieth stretch.

What is promised: stretches come back in their order, and one that does not come back (its process was
killed, or is out of memory) is told, so that it can be done here. A member writes nothing but its pipe,
holds no lock, and ends with whoever started it. Only where a process can be copied, and has one thread.
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

#: No more members than these, however many processors there are: a search head has other work.
MOST = 4
#: Bytes of an input below which members are not worth their start.
WORTH = 4 * 1024 * 1024

_LENGTH = struct.Struct(">Q")
#: What a member says when it has come to the end of the input.
_END = None
#: Bytes that may wait in a member's pipe (Linux): it goes on while others are waited for.
_ROOM = 1024 * 1024
_SET_ROOM = 1031  # F_SETPIPE_SZ, which Python 3.9 does not name

#: What a member does: from its number, the results of its stretches, in order; each can be marshalled.
Work = Callable[[int], Iterator[Any]]


class Lost(Exception):
    """A member has not given its next stretch: whoever asked must do it."""


def members(size: int) -> int:
    """How many are worth it here for an input of ``size`` bytes; none where it must be done alone."""
    if size < WORTH or not hasattr(os, "fork") or threading.active_count() > 1:
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors, MOST) if processors > 1 else 0


class Crew:
    """So many processes at ``work``; a context, at whose end none of them is left."""

    def __init__(self, count: int, work: Work, file: int) -> None:
        """``file`` is the descriptor of the input, the one open file that members keep."""
        self._work, self._file = work, file
        self._started: list[tuple[int, BinaryIO]] = []
        self._count = count
        for number in range(count):
            self._start(number)

    def __enter__(self) -> Crew:  # noqa: PYI034 - Self is not in Python 3.9's typing
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, pipe in self._started:
            pipe.close()  # who still writes to it ends
        for process, _ in self._started:
            try:
                os.waitpid(process, 0)
            except ChildProcessError:
                continue  # whoever started this ignores its children's ends: there is nothing to wait for

    def take(self, number: int) -> Any:
        """The result of the stretch of that number, in their order; None behind the last. Raises Lost."""
        member = number % self._count
        if member >= len(self._started):
            raise Lost
        pipe = self._started[member][1]
        length = pipe.read(_LENGTH.size)
        data = pipe.read(*_LENGTH.unpack(length)) if len(length) == _LENGTH.size else b""
        if not length or len(data) < _LENGTH.unpack(length)[0]:
            raise Lost
        return marshal.loads(data)  # noqa: S302 - from a copy of this very process

    def _start(self, number: int) -> None:
        read, write = os.pipe()
        try:
            process = os.fork()
        except OSError:  # no process or no memory is left: those that were started are the crew
            os.close(read)
            os.close(write)
            return
        if process == 0:
            _be_member(write, self._file, partial(self._work, number))
        os.close(write)
        self._started.append((process, open(read, "rb")))  # noqa: SIM115 - closed at the end


def _be_member(pipe: int, file: int, work: Callable[[], Iterator[Any]]) -> None:
    """Work to the end and go, whatever happens, without a trace of the process that this is a copy of."""
    code = 1
    try:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_DFL)
        _close_all_but({pipe, file})  # above all locks, which are not the member's to hold
        _set_room(pipe)
        gc.disable()  # a member makes no circles, and is soon over
        with open(pipe, "wb") as out:
            for result in work():
                _output(out, result)
            _output(out, _END)
        code = 0
    except BaseException:  # noqa: BLE001 - whoever waits for it sees the pipe end, and does the rest itself
        code = 1
    finally:
        os._exit(code)


def _output(out: BinaryIO, result: Any) -> None:
    data = marshal.dumps(result)
    out.write(_LENGTH.pack(len(data)) + data)
    out.flush()


def _set_room(pipe: int) -> None:
    import fcntl  # noqa: PLC0415 - not on Windows

    try:
        fcntl.fcntl(pipe, _SET_ROOM, _ROOM)
    except OSError:
        return  # another system, or a smaller limit: it waits a little more often


def _close_all_but(kept: set[int]) -> None:
    for place in ("/proc/self/fd", "/dev/fd"):
        try:
            names = os.listdir(place)
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
        return  # the listing's own
