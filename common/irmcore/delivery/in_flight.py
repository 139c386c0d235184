"""Attempts that are in the air at the same time, of one sender.

With a room of one, an attempt runs where it was started and there is no thread at all.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType


class InFlight:
    """Starts attempts, each of which gives True if no further one may start.

    Leaving it waits for all that are in the air, however often it is interrupted: who leaves gives the
    sender's lock back, and the next sender takes an attempt of no live process for a dead one's.
    """

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, "upload") if most > 1 else None
        self._air: set[Future[bool]] = set()
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
                wait(self._air)
                break
            except KeyboardInterrupt as again:
                interrupted = again
        self._pool.shutdown(wait=True)
        if interrupted is not None:
            raise interrupted

    def start(self, attempt: Callable[[], bool]) -> None:
        if self._pool is None:
            self._stopped = attempt()
        else:
            self._air.add(self._pool.submit(attempt))

    def land(self, room: Callable[[], int]) -> bool:
        """Wait until fewer than ``room()`` are in the air. Gives True if no further one may start.

        Raises what an attempt raised.
        """
        while True:
            landed = {flight for flight in self._air if flight.done()}
            self._air -= landed
            for flight in landed:
                self._stopped = flight.result() or self._stopped
            if len(self._air) < room():
                return self._stopped
            wait(self._air, return_when=FIRST_COMPLETED)
