"""A sequence of records under one prefix, numbered from 0, of which the newest counts.

To create the next number is the compare-and-set: of two writers that saw the same record, one succeeds.
"""

from __future__ import annotations

from typing import NamedTuple

from irmcore.clock import Clock
from irmcore.store.claim import claim
from irmcore.store.store import Store

DIGITS = 12
#: Records that pruning leaves, the newest ones: more than any reader is behind.
KEPT = 100


class Record(NamedTuple):
    """A record and its number."""

    number: int
    value: bytes


class Sequence:
    """The records under ``prefix``, which ends with ``/``."""

    def __init__(self, store: Store, prefix: str, clock: Clock) -> None:
        self._store, self._prefix, self._clock = store, prefix, clock

    def key(self, number: int) -> str:
        return f"{self._prefix}{number:0{DIGITS}}"

    def numbers(self) -> list[int]:
        """The numbers of all records, in order. Raises StoreAway, StoreRefused."""
        return [int(key[len(self._prefix) :]) for key in self._store.keys(self._prefix)]

    def newest(self) -> Record | None:
        """The newest record, None if there is none. Raises StoreAway, StoreRefused."""
        for number in reversed(self.numbers()):
            value = self.get(number)
            if value is not None:  # else it was pruned meanwhile
                return Record(number, value)
        return None

    def get(self, number: int) -> bytes | None:
        """The record of that number, None if there is none. Raises StoreAway, StoreRefused."""
        return self._store.get(self.key(number))

    def append(self, after: int, value: bytes) -> bool:
        """Whether ``value`` is the record that follows number ``after`` (-1: the first).

        False if another one does. Raises what ``claim`` raises.
        """
        return claim(self._store, self.key(after + 1), value, self._clock)

    def prune(self) -> None:
        """Remove all but the newest hundred. Never for states of a batch: a frozen sender would start anew.

        Raises StoreAway, StoreRefused.
        """
        for number in self.numbers()[:-KEPT]:
            self._store.delete(self.key(number))
