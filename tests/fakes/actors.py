"""Processes that run one store call at a time, as a test decides, and meet the fault that it chooses.

Each actor is a thread, but only one runs at any time: it stops before each call of its store, and goes on
when :meth:`Actor.step` says so. So every interleaving of calls can be tried, and a failing one repeated.
"""

from __future__ import annotations

import threading
from typing import Callable

from tests.fakes.store import Fault, MemoryService, MemoryStore

#: Seconds after which an actor that neither calls nor ends is a failure of the test.
HANG = 60.0


class Actor:
    """Runs ``body(store, self)``. ``outcome`` is its result, or the error that ended it, once ``done``.

    ``next_call`` is the verb and the key of the store's call before which it stands.
    """

    def __init__(
        self, service: MemoryService, body: Callable[[MemoryStore, Actor], object], lag: int = 0
    ) -> None:
        self.done = False
        self.next_call = ("", "")
        self.outcome: object = None
        self._fault: Fault | None = None
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)

        def plan(verb: str, key: str) -> Fault | None:
            self.next_call = (verb, key)
            return self.pause()

        store = service.client(plan, lag)
        self._thread = threading.Thread(target=self._run, args=(store, body), daemon=True)
        self._thread.start()
        self._wait()

    def pause(self) -> Fault | None:
        """Called by the actor: wait for its turn. The fault that its next call meets."""
        self._back.release()
        self._turn.acquire()
        return self._fault

    def step(self, fault: Fault | None = None) -> None:
        """Called by the test: let it run to its next call, or to its end."""
        if not self.done:
            self._fault = fault
            self._turn.release()
            self._wait()

    def _wait(self) -> None:
        if not self._back.acquire(timeout=HANG):
            raise AssertionError("an actor hangs")

    def _run(self, store: MemoryStore, body: Callable[[MemoryStore, Actor], object]) -> None:
        try:
            self.outcome = body(store, self)
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.outcome = error
        self.done = True
        self._back.release()
