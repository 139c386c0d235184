"""A store on which one guard of an outbox does nothing: a test shows what that guard is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from irmcore.outbox.on_store import records
from irmcore.outbox.on_store.commit_log import VOID
from irmcore.store import Store

#: The guards that rest on the store. The lease is the other one: see ``Unleased``.
STATE, LOG, VOIDS = "state", "log", "void"


class Unguarded:
    """``store`` without one guard: states or records of the log overwrite others, or nothing is voided.

    ``before`` is called before each create that the guard would decide.
    """

    def __init__(self, store: Store, guard: str, before: Callable[[], None] = lambda: None) -> None:
        self._store, self._guard, self._before = store, guard, before

    def create(self, key: str, value: bytes) -> bool:
        if self._guard == VOIDS and key.startswith("log/") and records.decode(value)["kind"] == VOID:
            return True
        if self._guard in (STATE, LOG) and key.startswith(f"{self._guard}/"):
            self._before()
            self._store.delete(key)
        return self._store.create(key, value)

    def get(self, key: str) -> bytes | None:
        return self._store.get(key)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        return self._store.keys(prefix, after)

    def delete(self, key: str) -> None:
        self._store.delete(key)
