"""The lease of an outbox's sender: numbered records, of which the newest counts.

A lease saves work: two senders at once would read the same batches. Nothing depends on it for safety, which
the states of the batches give. One that its holder did not return ends by itself. Its records also say which
line of the audit log was the last one, so that a process which has just started need not search it.
"""

from __future__ import annotations

from contextlib import suppress

from irmcore.clock import Clock
from irmcore.disk import Lock
from irmcore.errors import StoreAway, StoreRefused
from irmcore.outbox.on_store import records
from irmcore.store import Store
from irmcore.store.numbered import KEPT, Record, Sequence

#: Seconds after which a lease ends that is not renewed, and those left of it when it is renewed. So others
#: take over within two minutes of the holder's death, and an upload may take a minute and a half.
SECONDS, RENEWED_AT = 110.0, 90.0
#: Seconds by which the clocks of two machines may differ.
MARGIN = 300.0


class Lease:
    """A lock (:class:`irmcore.disk.Lock`) across machines, as far as their clocks agree."""

    def __init__(self, store: Store, clock: Clock, who: str = "") -> None:
        self._who = who
        self._records, self._clock = Sequence(store, "lease/sender/", clock), clock
        self._number = -1
        self._ends = 0.0
        self._taking_in = False
        #: What was written since it was taken: the newest record is one of these if it could not be returned.
        self._written: set[bytes] = set()
        #: The last line of the audit log that this process knows of; -1 before it has read a record.
        self._event = -1

    def acquire(self, *, takes_in: bool = False) -> Lock | None:
        """The lease, or None if somebody has it. ``takes_in``: say at once what ``take_in`` says.

        Raises StoreAway, StoreRefused.
        """
        newest = self._newest()
        if newest is not None and self._is_live(newest.value) and not self._could_not_return(newest.value):
            return None
        self._written.clear()
        self._number, self._taking_in = newest.number if newest else -1, takes_in
        if not self._write(SECONDS):
            return None
        if self._number % KEPT == 0:
            self._records.prune()
        return self

    @property
    def held(self) -> bool:
        """Whether this process took it and has not returned it."""
        return self._ends > 0.0

    def _newest(self) -> Record | None:
        newest = self._records.newest()
        noted = records.decode(newest.value).get("event", 0) if newest is not None else 0
        self._event = max(self._event, int(noted))
        return newest

    @property
    def last_event(self) -> int:
        """The last line of the audit log that is known of; 0 if none is. Raises StoreAway, StoreRefused."""
        if self._event < 0:
            self._newest()
        return self._event

    def note_event(self, number: int) -> None:
        """Let the next record say that the audit log has this line."""
        self._event = max(self._event, number)

    def _is_live(self, value: bytes) -> bool:
        # A clock that was wrong must not keep every sender away for years.
        return 0.0 < float(records.decode(value)["until"]) - self._clock.now() <= SECONDS + MARGIN

    def _could_not_return(self, value: bytes) -> bool:
        return not self.held and value in self._written

    def _write(self, seconds: float) -> bool:
        now = self._clock.now()
        until = now + seconds if seconds else 0.0
        value = self._record(until)
        self._written.add(value)
        won = self._records.append(self._number, value)
        self._number += won
        self._ends = until if won else 0.0
        return won

    def _record(self, until: float) -> bytes:
        event = max(self._event, 0)
        return records.encode(until=until, taking_in=self._taking_in, by=self._who, event=event)

    def holder(self) -> tuple[str, bool]:
        """Who had it last ("" for nobody), and whether it has not ended. Raises StoreAway, StoreRefused."""
        newest = self._records.newest()
        if newest is None:
            return "", False
        return str(records.decode(newest.value).get("by", "")), self._is_live(newest.value)

    def renew(self) -> None:
        """Keep the lease, if it is held and ends soon."""
        if self._ends and self._ends - self._clock.now() < RENEWED_AT:
            with suppress(StoreAway, StoreRefused):
                self._write(SECONDS)

    def release(self) -> None:
        if self._ends:
            with suppress(StoreAway, StoreRefused):  # then it ends by itself
                self._write(0.0)
            self._ends = 0.0

    def take_in(self) -> Lock:
        """Say that the holder takes in what is accepted meanwhile, until the returned lock is released.

        Without the lease, nobody is told. Raises StoreAway, StoreRefused.
        """
        if self.held and not self._taking_in:
            self._taking_in = True
            self._write(SECONDS)
        return _TakingIn(self)

    def stop_taking_in(self) -> None:
        """The holder looks once more, and then no more."""
        self._taking_in = False
        if self._ends:
            with suppress(StoreAway, StoreRefused):
                self._write(SECONDS)

    def is_taken_in(self) -> bool:
        """Whether somebody has the lease and takes in what is accepted. Raises StoreAway, StoreRefused."""
        newest = self._records.newest()
        if newest is None or not self._is_live(newest.value):
            return False
        return bool(records.decode(newest.value)["taking_in"])


class _TakingIn:
    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    def release(self) -> None:
        self._lease.stop_taking_in()
