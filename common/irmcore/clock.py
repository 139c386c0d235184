"""The clock as an interface, so that tests can run a week of schedules in a second."""

from __future__ import annotations

import datetime
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds since 1970 (UTC), monotonic seconds, and sleeping."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def iso(seconds: float) -> str:
    """``seconds`` since 1970 as ``2026-01-02T03:04:05.678Z``, for manifests and messages."""
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
