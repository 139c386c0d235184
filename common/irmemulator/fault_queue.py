"""The faults that wait for requests, in the order in which they were set.

Promised: a fault is used up by the request it spoils, in the order given, also between threads.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from irmemulator.faults import Fault


@dataclass(frozen=True)
class Pending:
    """A fault that waits, and how many requests it will spoil; None: all, until it is cleared."""

    fault: Fault
    count: int | None


class Faults:
    """The faults that wait for their requests. Safe between threads.

    Those set with `next` come first, in order. One set with `until_cleared` spoils every other request of its
    endpoint.
    """

    def __init__(self, endpoints: Collection[str] = ("upload", "token", "discovery")) -> None:
        """Begin without faults; ``endpoints`` are those that the service has."""
        self._endpoints = tuple(endpoints)
        self._queue: deque[Pending] = deque()
        self._until_cleared: dict[str, Fault] = {}
        self._taken = 0
        self._lock = threading.Lock()

    def next(self, fault: Fault, count: int = 1) -> None:
        """Spoil ``count`` requests of the endpoint, after the faults that wait already. Raises ValueError."""
        if count < 1:
            raise ValueError("count must be at least 1")
        self.check(fault)
        with self._lock:
            self._queue.append(Pending(fault, count))

    def until_cleared(self, fault: Fault) -> None:
        """Spoil all requests to the fault's endpoint; it replaces an earlier one. Raises ValueError."""
        self.check(fault)
        with self._lock:
            self._until_cleared[fault.on] = fault

    def check(self, fault: Fault) -> None:
        """Raise ValueError if the service has no endpoint of the fault's name."""
        if fault.on not in self._endpoints:
            raise ValueError(f"Fault.on must be one of {', '.join(self._endpoints)}")

    def clear(self, on: str | None = None) -> None:
        """Forget the faults of one endpoint, or all of them."""
        with self._lock:
            self._queue = deque(p for p in self._queue if on is not None and p.fault.on != on)
            for endpoint in [on] if on is not None else list(self._until_cleared):
                self._until_cleared.pop(endpoint, None)

    def take(self, on: str, text: str = "") -> Fault | None:
        """The fault that a request uses up: its `matching` is found in ``text``. None if there is none."""
        with self._lock:
            for position, pending in enumerate(self._queue):
                if not _meets(pending.fault, on, text):
                    continue
                left = (pending.count or 1) - 1
                if left:
                    self._queue[position] = Pending(pending.fault, left)
                else:
                    del self._queue[position]
                self._taken += 1
                return pending.fault
            lasting = self._until_cleared.get(on)
            if lasting is None or not _meets(lasting, on, text):
                return None
            self._taken += 1
            return lasting

    @property
    def pending(self) -> tuple[Pending, ...]:
        """The faults that wait."""
        with self._lock:
            lasting = (Pending(fault, None) for fault in self._until_cleared.values())
            return (*self._queue, *lasting)

    @property
    def taken(self) -> int:
        """How many requests were spoiled so far."""
        with self._lock:
            return self._taken


def _meets(fault: Fault, on: str, text: str) -> bool:
    return fault.on == on and re.search(fault.matching, text) is not None
