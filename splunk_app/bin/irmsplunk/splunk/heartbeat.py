"""The sender's sign of life: a small file in the outbox directory, renewed while its process lives."""

from __future__ import annotations

import json
import os
import threading
from types import TracebackType

from irmcore.clock import Clock

FILE = "heartbeat.json"
EVERY = 10.0
#: Older than this, nobody sends: three restarts of the input would fit in between.
STALE = 240.0
#: A sign of life this far in the future says nothing: the clock was set back since.
AHEAD = 30.0


class Heartbeat:
    """Renews the file while it is entered, also during a long upload."""

    def __init__(self, directory: str, clock: Clock, every: float = EVERY) -> None:
        self._path = os.path.join(directory, FILE)
        self._clock = clock
        self._every = every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:  # noqa: PYI034 - typing.Self is not in 3.9
        self.beat()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._end.wait(self._every):
            self.beat()

    def beat(self) -> None:
        """Write the file as a whole; a full disk costs only the sign of life."""
        temporary = f"{self._path}.{os.getpid()}.new"
        try:
            with open(temporary, "w", encoding="ascii") as file:
                os.fchmod(file.fileno(), 0o600)
                json.dump({"at": self._clock.now(), "pid": os.getpid()}, file)
            os.replace(temporary, self._path)
        except OSError:
            return


def age(directory: str, now: float) -> float | None:
    """Seconds since the last sign of life, None if there was none; negative after the clock was set back."""
    try:
        with open(os.path.join(directory, FILE), encoding="ascii") as file:
            at = float(json.load(file)["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return now - at


def alive(directory: str, now: float) -> bool:
    """Whether the sender has been seen lately."""
    seen = age(directory, now)
    return seen is not None and -AHEAD <= seen <= STALE
