"""A store of immutable values under keys: what an outbox needs that many machines share.

:mod:`irmcore.store.store` has the four verbs and their promises, :mod:`irmcore.store.claim` the safe way to
create what others may create too, and :mod:`irmcore.store.numbered` the sequences of records built on it.
"""

from irmcore.store.claim import claim
from irmcore.store.store import MAX_VALUE_BYTES, Store

__all__ = ["MAX_VALUE_BYTES", "Store", "claim"]
