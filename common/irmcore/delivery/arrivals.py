"""Which batches a drain takes: those that are queued when it begins, and those that are accepted meanwhile.

A process that has accepted rows and finds a sender at work need not wait for it: that sender takes them
too. For this to be true, the sender holds ``drain.lock`` while it takes in what is accepted, and MUST list
``ready/`` once more after it has released that lock. A process that finds ``drain.lock`` held accepted its
rows before that, so the last list has them. One that finds it free while ``sender.lock`` is held waits for
the latter.

Nobody can keep a drain at work forever: after ``TAKE_IN`` seconds it takes in nothing more, sends what it
has, and leaves the rest to the next sender.
"""

from __future__ import annotations

from types import TracebackType

from irmcore.disk import Lock
from irmcore.outbox import Outbox

#: Seconds in which a drain takes in what is accepted meanwhile.
TAKE_IN = 600.0
#: Somebody who looks whether the lock is held holds it for a moment: how often and how long to wait for that.
_TRIES, _PAUSE = 100, 0.01


class Arrivals:
    """The ids in ``ready/`` that a drain has not seen. A context manager.

    The caller holds the sender's lock.
    """

    def __init__(self, outbox: Outbox, known: set[str]) -> None:
        """``known`` has the ids that the drain has seen, and gets those that ``take`` returns."""
        self._outbox = outbox
        self._known = known
        self._end = outbox.clock.monotonic() + TAKE_IN
        self._ended = False
        self._lock = self._open()

    def __enter__(self) -> Arrivals:  # noqa: PYI034 - typing.Self is not in 3.9
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def take(self) -> list[str]:
        """The new ids, oldest first and durable; none if the drain is to end. Raises OSError."""
        if self._ended:
            return []
        found = self._new()
        if not found or self._lock is None or self._outbox.clock.monotonic() >= self._end:
            self._close()
            self._ended = True
            found = self._new()
        if found:
            # Otherwise a power loss could undo the acceptance of what is sent, and its rows would go again.
            self._outbox.sync_ready()
            self._known.update(found)
        return found

    def _new(self) -> list[str]:
        return [name for name in self._outbox.ready_by_age() if name not in self._known]

    def _open(self) -> Lock | None:
        try:
            for _ in range(_TRIES):
                lock = self._outbox.drain_lock()
                if lock is not None:
                    return lock
                self._outbox.clock.sleep(_PAUSE)
        except OSError:
            # An outbox of an earlier version has no such file, and a full disk takes none: then others wait.
            return None
        return None

    def _close(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
