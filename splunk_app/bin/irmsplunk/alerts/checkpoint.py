"""How far an input has read, in KV store: numbered records, of which the newest counts.

Every version whose event was written is in a record, or older than what any later run lists. A member that
was overtaken cannot add one.
"""

from __future__ import annotations

import hashlib
from typing import Any

from irmcore.clock import Clock
from irmcore.errors import Overtaken
from irmcore.outbox.on_store import records
from irmcore.store.numbered import KEPT, Sequence
from irmcore.store.store import Store

#: Seconds before the last reading that each run lists again: an update may become visible late.
OVERLAP = 24 * 3600
#: Versions that a record names: a value has 1 MiB, and each of these 40 bytes. Older ones are written again
#: if the first reading of a long list is killed.
_MOST = 20_000


class Checkpoint:
    """The newest record. ``read``: the service's time of the last whole reading, or 0."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Raises StoreAway, StoreRefused, DamageError."""
        self._records = Sequence(store, "read/", clock)
        newest = self._records.newest()
        fields: Any = records.decode(newest.value) if newest else {"read": 0, "known": {}}
        self._number = newest.number if newest else -1
        self.read = float(fields["read"])
        self._known: dict[str, int] = dict(fields["known"])

    @property
    def since(self) -> float:
        """From when to list."""
        return max(0.0, self.read - OVERLAP)

    def knows(self, version: str) -> bool:
        return _digest(version) in self._known

    def add(self, version: str, at: float) -> None:
        """Note a version, which `save` makes durable."""
        self._known[_digest(version)] = int(at)

    def save(self, read: float = 0.0) -> None:
        """Make durable what was added and, after a whole reading that began at ``read``, that time.

        Raises StoreAway, StoreRefused, and Overtaken if another process has saved meanwhile.
        """
        if read and self.read - read >= OVERLAP:
            self.read = 0.0  # set by a wrong clock: list again what it passed over
        else:
            self.read = max(self.read, read)
        self._known = {name: at for name, at in self._known.items() if at >= int(self.since)}
        newest = dict(sorted(self._known.items(), key=lambda one: one[1])[-_MOST:])
        if not self._records.append(self._number, records.encode(read=self.read, known=newest)):
            raise Overtaken(
                "another member has read the alerts meanwhile",
                next_step="Nothing is lost: that member continues. Events of one page may be indexed twice.",
            )
        self._number += 1
        if self._number % KEPT == 0:
            self._records.prune()


def _digest(version: str) -> str:
    return hashlib.blake2b(version.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
