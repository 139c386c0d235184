"""A clock that moves only when it is told to, or slept on."""

from __future__ import annotations


class FakeClock:
    """An irmcore.clock.Clock; ``now`` in seconds since 1970."""

    def __init__(self, now: float = 1_770_000_000.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        self._monotonic += seconds

    def set_back(self, seconds: float) -> None:
        """Move the wall clock alone, as an administrator or NTP does."""
        self._now -= seconds
