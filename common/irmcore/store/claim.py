"""Create a key that others may create too, and know who did.

An answer can be lost: then the create happened, or did not, or happens later. So whoever creates reads back.
A value that equals one's own is one's own success, which is why a value must name its writer and its attempt.
"""

from __future__ import annotations

from irmcore.clock import Clock
from irmcore.errors import StoreAway
from irmcore.store.store import Store

#: Seconds until a value that exists must be readable, and between two reads.
READABLE_SECONDS, PAUSE = 60.0, 0.2


def claim(store: Store, key: str, value: bytes, clock: Clock) -> bool:
    """Whether ``key`` has ``value`` now; False if it has another one. ``value`` names its writer and attempt.

    Raises StoreRefused, and StoreAway if it is unknown: then the value may still appear. The caller either
    claims the same value again, or claims another one under the same key, which decides the matter.
    """
    try:
        if store.create(key, value):
            return True
    except StoreAway as error:
        found = store.get(key)
        if found is None:
            raise error from None
        return found == value
    return read_existing(store, key, clock) == value


def read_existing(store: Store, key: str, clock: Clock) -> bytes:
    """The value of a key that exists, also where reads come late. Raises StoreAway, StoreRefused."""
    end = clock.monotonic() + READABLE_SECONDS
    while (found := store.get(key)) is None:
        if clock.monotonic() >= end:
            raise StoreAway(
                f"a record exists but could not be read for {READABLE_SECONDS:.0f} seconds",
                where=key,
                next_step="Nothing is lost. Try again once the store's replicas have caught up.",
            )
        clock.sleep(PAUSE)
    return found
