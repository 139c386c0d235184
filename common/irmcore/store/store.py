"""The store as an interface: four verbs over values that never change.

There is no overwrite, no rename, no lock and no clock. A change is a new value under the next number; to
create that key is the compare-and-set. Promised by every implementation, and tested by one suite:

- *Atomic*: a value is there as a whole or not at all, whoever dies.
- *Exclusive*: of any number of processes that create one key at once, one is told True.
- *Durable*: what ``create`` reported as True survives every crash that the service survives.
- *No retries of its own*: a repeated create would take its own success for somebody else's.

A store may answer reads late, but then in order: whoever sees a value sees everything created before it. What
no store can promise is that its service keeps what it acknowledged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

#: The largest value. Every service that comes into question holds more in one object.
MAX_VALUE_BYTES = 1 << 20
MAX_KEY_CHARACTERS = 512

_SEGMENT = r"[a-z0-9][a-z0-9._-]*"
_KEY = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")


class Store(Protocol):
    """Values of at most 1 MiB under keys such as ``log/000000/000000000001``.

    Every verb raises StoreAway if the service gave no usable answer, and StoreRefused if a person has to
    change something. After StoreAway a create or delete may have happened, or may happen yet. ValueError is
    for a key or value that no store accepts.
    """

    def create(self, key: str, value: bytes) -> bool:
        """Store ``value`` under ``key``. False if the key has a value already, which is left as it is.

        When it returns True, the value is durable.
        """

    def get(self, key: str) -> bytes | None:
        """The value of ``key``, None if there is none."""

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """The keys that begin with ``prefix`` and come after ``after``, in the order of their characters.

        ``prefix`` is empty or ends with ``/``. Every key is there whose create returned before the call, and
        that was not deleted; keys that are created or deleted meanwhile may be missing.
        """

    def delete(self, key: str) -> None:
        """Remove ``key`` and its value. A key without a value is no error."""


def check_key(key: str) -> str:
    """``key``, if every store accepts it. Raises ValueError: the program makes keys, never a user."""
    if len(key) > MAX_KEY_CHARACTERS or not _KEY.fullmatch(key):
        raise ValueError(f"not a key of a store: {key[:80]!r}")
    return key


def check_value(value: bytes) -> bytes:
    """``value``, if it is not larger than every store accepts. Raises ValueError."""
    if len(value) > MAX_VALUE_BYTES:
        raise ValueError(f"a value of {len(value):,} bytes; a store takes {MAX_VALUE_BYTES:,}")
    return value


def check_prefix(prefix: str) -> str:
    """``prefix``, if ``keys`` accepts it. Raises ValueError."""
    if prefix and not (prefix.endswith("/") and _KEY.fullmatch(prefix[:-1])):
        raise ValueError(f"not a prefix of keys: {prefix[:80]!r}")
    return prefix
