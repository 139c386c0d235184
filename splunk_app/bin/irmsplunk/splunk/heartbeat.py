"""The sender's heartbeat: a small file in the outbox directory, renewed while the process runs."""

from __future__ import annotations

import json
import os
import threading

from irmcore.clock import Clock

FILE = "heartbeat.json"
#: Seconds between two heartbeats.
INTERVAL = 10.0
#: Seconds after which the sender counts as stopped; the input restarts three times within them.
STALE = 240.0
#: Seconds that a heartbeat may lie in the future. Beyond that, the clock was set back and it means nothing.
CLOCK_TOLERANCE = 30.0


class Heartbeat:
    """A context manager that renews the file, also during a long upload."""

    def __init__(self, directory: str, clock: Clock, interval: float = INTERVAL) -> None:
        self._path = os.path.join(directory, FILE)
        self._clock = clock
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:  # noqa: PYI034 - typing.Self is not in 3.9
        self.beat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._stop.wait(self._interval):
            self.beat()

    def beat(self) -> None:
        """Replace the file. A full disk costs only the heartbeat."""
        temporary = f"{self._path}.{os.getpid()}.new"
        try:
            with open(temporary, "w", encoding="ascii") as file:
                os.fchmod(file.fileno(), 0o600)
                json.dump({"at": self._clock.now(), "pid": os.getpid()}, file)
            os.replace(temporary, self._path)
        except OSError:
            return


def age(directory: str, now: float) -> float | None:
    """Seconds since the last heartbeat, None if there was none; negative if the clock was set back."""
    try:
        with open(os.path.join(directory, FILE), encoding="ascii") as file:
            at = float(json.load(file)["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return now - at


def alive(directory: str, now: float) -> bool:
    """Whether the sender runs, judging by its last heartbeat."""
    seconds = age(directory, now)
    return seconds is not None and -CLOCK_TOLERANCE <= seconds <= STALE
