"""A store in memory that loses answers, is away, lags, rolls back and kills whoever calls it.

:class:`MemoryService` is what all machines share; each :class:`MemoryStore` is one client of it. Before each
call it asks its ``plan`` for a fault. A client with a ``lag`` reads what the service was that many changes
ago, in order, and catches up by one with each read, as a member of a replica set does.
"""

from __future__ import annotations

import bisect
import enum
import threading
from collections.abc import Iterator
from typing import Callable, Optional

from irmcore.clock import Clock
from irmcore.errors import StoreAway, StoreRefused
from irmcore.store.store import Store, check_key, check_prefix, check_value

from tests.fakes.powerloss import Killed


class Fault(enum.Enum):
    """What happens instead of a call that works."""

    AWAY = "nothing happened, and the caller does not know"
    LOST = "it happened, and the caller does not know"
    LATE = "it happens some calls later, and the caller does not know"
    REFUSED = "nothing happened, and the caller knows"
    KILLED_BEFORE = "nothing happened, and the caller died"
    KILLED_AFTER = "it happened, and the caller died"


#: Faults after which the caller has no answer.
_NO_ANSWER = (Fault.AWAY, Fault.LOST, Fault.LATE)
_DIED = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
_HAPPENS = (None, Fault.LOST, Fault.KILLED_AFTER)
#: Calls after which a late change happens.
LATE_CALLS = 7

Plan = Callable[[str, str], Optional[Fault]]


class MemoryService:
    """Every change in order: a key with its value, or None for its removal. ``names``: the keys, sorted."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changes: list[tuple[str, bytes | None]] = []
        self.values: dict[str, bytes] = {}
        self.names: list[str] = []
        self.calls = 0
        self._late: list[tuple[int, str, bytes | None]] = []

    def called(self) -> None:
        """Count a call, and do what is due by then."""
        self.calls += 1
        due = [change for change in self._late if change[0] <= self.calls]
        self._late = [change for change in self._late if change[0] > self.calls]
        for _, key, value in due:
            self.change(key, value)

    def change(self, key: str, value: bytes | None) -> bool:
        """Create or delete; False if a key to create exists."""
        if value is None:
            if key in self.values:
                del self.values[key]
                del self.names[bisect.bisect_left(self.names, key)]
                self.changes.append((key, None))
            return True
        if key in self.values:
            return False
        self.values[key] = value
        bisect.insort(self.names, key)
        self.changes.append((key, value))
        return True

    def client(self, plan: Plan, lag: int = 0) -> MemoryStore:
        """A client of it, on which ``plan`` decides what goes wrong."""
        return MemoryStore(self, plan, lag=lag)

    def change_later(self, key: str, value: bytes | None) -> None:
        self._late.append((self.calls + LATE_CALLS, key, value))

    def roll_back(self, changes: int) -> None:
        """Forget the newest changes, though they were acknowledged."""
        kept = self.changes[: len(self.changes) - changes]
        self.changes, self.values, self.names = [], {}, []
        for key, value in kept:
            self.change(key, value)


def no_fault(verb: str, key: str) -> Fault | None:
    """The plan of a store that works."""


class MemoryStore:
    """An irmcore.store.Store. Each call takes ``seconds`` of the ``clock``."""

    def __init__(
        self,
        service: MemoryService,
        plan: Plan = no_fault,
        *,
        lag: int = 0,
        clock: Clock | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.plan = plan
        self._service, self._lag, self._clock, self._seconds = service, lag, clock, seconds
        self._dead = False
        self._read_changes = 0
        self._view: dict[str, bytes] = {}

    def create(self, key: str, value: bytes) -> bool:
        check_key(key)
        check_value(value)
        return self._change("create", key, value)

    def delete(self, key: str) -> None:
        check_key(key)
        self._change("delete", key, None)

    def get(self, key: str) -> bytes | None:
        check_key(key)
        fault = self._begin("get", key)
        self._end(fault, key)
        return self._read(key)

    def _read(self, key: str) -> bytes | None:
        with self._service.lock:
            return self._current().get(key)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """The order of keys is that of the moment at which each is asked for, as with pages of one."""
        check_prefix(prefix)
        fault = self._begin("keys", prefix)
        self._end(fault, prefix)
        return self._list(prefix, after)

    def _list(self, prefix: str, after: str) -> Iterator[str]:
        last = max(after, prefix)
        while True:
            with self._service.lock:
                names = sorted(self._current()) if self._lag else self._service.names
            at = bisect.bisect_right(names, last)
            if at == len(names) or not names[at].startswith(prefix):
                return
            last = names[at]
            yield last

    def _change(self, verb: str, key: str, value: bytes | None) -> bool:
        fault = self._begin(verb, key)
        with self._service.lock:
            if fault is Fault.LATE:
                self._service.change_later(key, value)
            done = fault in _HAPPENS and self._service.change(key, value)
        self._end(fault, key)
        return done

    def _begin(self, verb: str, key: str) -> Fault | None:
        if self._dead:
            raise Killed  # what a caller does while it ends never happened
        fault = self.plan(verb, key)
        if self._clock is not None:
            self._clock.sleep(self._seconds)
        with self._service.lock:
            self._service.called()
        return fault

    def _end(self, fault: Fault | None, key: str) -> None:
        if fault in _DIED:
            self._dead = True
            raise Killed
        if fault in _NO_ANSWER:
            raise StoreAway("the store did not answer", where=key, next_step="Try again.")
        if fault is Fault.REFUSED:
            raise StoreRefused("the store refused", where=key, next_step="Give it the role.")

    def _current(self) -> dict[str, bytes]:
        """What this client reads now."""
        if not self._lag:
            return self._service.values
        changes = self._service.changes
        end = min(len(changes), max(self._read_changes + 1, len(changes) - self._lag))
        for key, value in changes[self._read_changes : end]:
            if value is None:
                self._view.pop(key, None)
            else:
                self._view[key] = value
        self._read_changes = max(end, self._read_changes)
        return self._view


class RealService(MemoryService):
    """The same faults in front of a real store. It neither lags nor rolls back."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store

    def change(self, key: str, value: bytes | None) -> bool:
        if value is not None:
            return self.store.create(key, value)
        self.store.delete(key)
        return True

    def client(self, plan: Plan, lag: int = 0) -> MemoryStore:
        return _Client(self, plan)


class _Client(MemoryStore):
    def __init__(self, service: RealService, plan: Plan) -> None:
        super().__init__(service, plan)
        self._store = service.store

    def _read(self, key: str) -> bytes | None:
        return self._store.get(key)

    def _list(self, prefix: str, after: str) -> Iterator[str]:
        return self._store.keys(prefix, after)
