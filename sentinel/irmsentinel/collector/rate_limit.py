"""No more requests in any minute than the service allows, and none while it asks to wait."""

from __future__ import annotations

import threading
from collections import deque

from irmcore.clock import Clock

WINDOW = 60.0
#: A wait is slept in parts, so that it can be ended.
_PART = 1.0


class Stopped(Exception):
    """Somebody asked to stop; no request may begin any more."""


class RateLimiter:
    """Shared by all threads that ask the same service.

    At most ``per_minute`` requests begin in any 60 seconds; the first ones need not wait for a rhythm.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._most = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: deque[float] = deque()
        self._held_until = 0.0
        self._stopped = threading.Event()

    def take(self) -> None:
        """Wait until a request may begin. Raises Stopped."""
        while True:
            with self._lock:
                wait = self._wait()
                if wait <= 0:
                    self._begun.append(self._clock.monotonic())
                    return
            self.sleep(min(wait, _PART))

    def _wait(self) -> float:
        now = self._clock.monotonic()
        while self._begun and self._begun[0] <= now - WINDOW:
            self._begun.popleft()
        full = self._begun[0] + WINDOW - now if len(self._begun) >= self._most else 0.0
        if self._stopped.is_set():
            raise Stopped
        return max(full, self._held_until - now)

    def hold(self, seconds: float) -> None:
        """Let no request begin for so long: the service said so."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Wait, unless somebody asks to stop. Raises Stopped."""
        end = self._clock.monotonic() + seconds
        while (rest := end - self._clock.monotonic()) > 0:
            if self._stopped.is_set():
                raise Stopped
            self._clock.sleep(min(rest, _PART))

    def stop(self) -> None:
        """End every wait; no request begins until ``restart``."""
        self._stopped.set()

    def restart(self) -> None:
        """Let requests begin again; the limits know what was asked before."""
        self._stopped.clear()
