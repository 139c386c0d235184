"""A rate limit for all threads that call one service: a sliding minute, pauses on request, and a way to stop.

Not pyrate-limiter or limits: they would replace only the deque, and their own waits and timestamps use the
system's clock, not the injected one.
"""

from __future__ import annotations

import threading
from collections import deque

from irmcore.clock import Clock

WINDOW = 60.0
#: The longest single sleep in seconds, so that `stop` takes effect soon.
_NAP = 1.0


class Stopped(Exception):
    """`RateLimiter.stop` was called; no request may begin."""


class RateLimiter:
    """At most ``per_minute`` requests begin in any 60 seconds. They need not be evenly spaced."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._limit = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: deque[float] = deque()
        self._paused_until = 0.0
        self._stopped = threading.Event()

    def acquire(self) -> None:
        """Wait until a request may begin. Raises Stopped."""
        while True:
            with self._lock:
                wait = self._wait()
                if wait <= 0:
                    self._begun.append(self._clock.monotonic())
                    return
            self.sleep(min(wait, _NAP))

    def _wait(self) -> float:
        now = self._clock.monotonic()
        while self._begun and self._begun[0] <= now - WINDOW:
            self._begun.popleft()
        full = self._begun[0] + WINDOW - now if len(self._begun) >= self._limit else 0.0
        if self._stopped.is_set():
            raise Stopped
        return max(full, self._paused_until - now)

    def pause(self, seconds: float) -> None:
        """Let no request begin for this long, because the service asked for it."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Sleep, until `stop` is called. Raises Stopped."""
        end = self._clock.monotonic() + seconds
        while (rest := end - self._clock.monotonic()) > 0:
            if self._stopped.is_set():
                raise Stopped
            self._clock.sleep(min(rest, _NAP))

    def stop(self) -> None:
        """End every wait; no request begins until `restart`."""
        self._stopped.set()

    def restart(self) -> None:
        """Let requests begin again. Earlier requests still count, and a pause still holds."""
        self._stopped.clear()
