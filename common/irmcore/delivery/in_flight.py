"""The uploads of one sender that run at the same time.

With a limit of one, an upload runs in the caller's thread and no other thread exists.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType


class InFlight:
    """Starts attempts. An attempt returns True if no further one may start.

    Leaving the context waits for all running uploads, however often it is interrupted: the caller then
    releases the sender's lock, and the next sender would take a running upload for one left by a crash.
    """

    def __init__(self, limit: int) -> None:
        self._pool = ThreadPoolExecutor(limit, "upload") if limit > 1 else None
        self._running: set[Future[bool]] = set()
        self._stopped = False

    def __enter__(self) -> InFlight:  # noqa: PYI034 - typing.Self is not in 3.9
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        interrupted: KeyboardInterrupt | None = None
        while True:
            try:
                wait(self._running)
                break
            except KeyboardInterrupt as again:
                interrupted = again
        self._pool.shutdown(wait=True)
        if interrupted is not None:
            raise interrupted

    def start(self, attempt: Callable[[], bool]) -> None:
        """Run ``attempt``, in a thread if the limit is above one."""
        if self._pool is None:
            self._stopped = attempt()
        else:
            self._running.add(self._pool.submit(attempt))

    def wait_below(self, limit: Callable[[], int]) -> bool:
        """Wait until fewer than ``limit()`` attempts run. Returns True if no further one may start.

        Raises what an attempt raised.
        """
        while True:
            ended = {attempt for attempt in self._running if attempt.done()}
            self._running -= ended
            for attempt in ended:
                self._stopped = attempt.result() or self._stopped
            if len(self._running) < limit():
                return self._stopped
            wait(self._running, return_when=FIRST_COMPLETED)
