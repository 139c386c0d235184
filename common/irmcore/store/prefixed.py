"""A part of a store as a store of its own: all keys that begin with a prefix."""

from __future__ import annotations

from collections.abc import Iterator

from irmcore.store.store import Store, check_key


class Prefixed:
    """The store whose key ``k`` is ``PREFIX/k`` in another one."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store, self._prefix = store, check_key(prefix) + "/"

    def __repr__(self) -> str:
        return f"Prefixed({self._store!r}, {self._prefix!r})"

    def create(self, key: str, value: bytes) -> bool:
        return self._store.create(self._prefix + check_key(key), value)

    def get(self, key: str) -> bytes | None:
        return self._store.get(self._prefix + check_key(key))

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        found = self._store.keys(self._prefix + prefix, after=self._prefix + after if after else "")
        return (key[len(self._prefix) :] for key in found)

    def delete(self, key: str) -> None:
        self._store.delete(self._prefix + check_key(key))
