"""Attempts to send the batches of an outbox on a store.

Each state is a numbered record, so two senders that saw the same state cannot both go on.

Promised: COMMIT follows the INTENT of the same attempt, and no attempt commits after a receipt or while
another is in doubt. No lease is needed. Not promised: a sender that freezes between its last look at the
deadline and the last bytes may still send them; the batch is held by then, and a person decides.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from irmcore.clock import Clock
from irmcore.errors import StoreAway
from irmcore.outbox import states
from irmcore.outbox.on_store import records
from irmcore.outbox.on_store.commit_log import CommitLog
from irmcore.store import Store
from irmcore.store.numbered import Record, Sequence

#: Seconds by which the clocks of two machines may differ.
MARGIN = 300.0
_MAY_START = (states.READY, states.RETRY, states.INTENT)


class Attempts:
    """The attempts of one sender."""

    def __init__(self, store: Store, log: CommitLog, clock: Clock) -> None:
        self._store, self._log, self._clock = store, log, clock

    def states_of(self, batch: str) -> Sequence:
        """The states of a batch. They are never pruned: a frozen sender would create a number anew."""
        return Sequence(self._store, f"state/{batch}/", self._clock)

    def accepted(self) -> Iterator[tuple[str, Record | None]]:
        """The accepted batches without a receipt, each with its newest state; None if it has none yet."""
        new: dict[str, int] = {}
        for name, marker in self._log.open():
            newest = self.states_of(name).newest()
            if newest is None:
                new[name] = int(str(marker["after"]))
            elif records.decode(newest.value)["state"] == states.SENT:
                self._store.delete(f"open/{name}")  # its sender died after the receipt
            else:
                yield name, newest
        for entry in self._log.entries(min(new.values())) if new else ():
            yield from ((name, None) for name in entry.batches if name in new)

    def start(self, batch: str, newest: Record | None) -> Attempt | None:
        """An attempt whose INTENT is durable; None if the batch is not to be sent, or another sender has it.

        A COMMIT whose upload must have ended without a receipt becomes HELD.
        """
        number = newest.number if newest else -1
        state: Mapping[str, Any] = records.decode(newest.value) if newest else {"state": states.READY}
        if state["state"] == states.COMMIT and self._clock.now() > state["until"] + MARGIN:
            self.states_of(batch).append(number, records.encode(state=states.HELD, attempt=state["attempt"]))
        if state["state"] not in _MAY_START or self._clock.now() < state.get("not_before", 0):
            return None
        attempt = Attempt(self.states_of(batch), number, self._clock)
        return attempt if attempt.write(states.INTENT) else None


class Attempt:
    """One upload of a batch. ``id`` is in each of its records."""

    def __init__(self, states_: Sequence, number: int, clock: Clock) -> None:
        self.id = secrets.token_hex(8)
        self._states, self._number, self._clock = states_, number, clock

    def write(self, state: str, **fields: Any) -> bool:
        """Whether this is the batch's next state; False if another one is. Raises StoreAway, StoreRefused."""
        won = self._states.append(self._number, records.encode(state=state, attempt=self.id, **fields))
        self._number += won
        return won

    def commit(self, seconds: float) -> bool:
        """Whether the last bytes of the body may be sent now; otherwise the upload must be aborted.

        The upload ends in ``seconds`` at the latest.
        """
        end = self._clock.monotonic() + seconds
        try:
            won = self.write(states.COMMIT, until=self._clock.now() + seconds)
        except StoreAway:
            # Nothing of the tail was sent. Close the number; if the COMMIT is there after all, the next one.
            if not self.write(states.RETRY) and self._has_next():
                self._number += 1
                self.write(states.RETRY)
            return False
        if won and self._clock.monotonic() >= end:
            self.write(states.RETRY)
            return False
        return won

    def _has_next(self) -> bool:
        """Whether the next state is one of this attempt."""
        value = self._states.get(self._number + 1)
        return value is not None and bool(records.decode(value).get("attempt") == self.id)

    def sent(self, **receipt: Any) -> None:
        """Record a receipt, which counts also if the batch was held meanwhile."""
        while not self.write(states.SENT, **receipt):
            self._number += 1

    def retry(self, not_before: float) -> None:
        """The service has certainly not accepted the batch; send it again after ``not_before``."""
        self.write(states.RETRY, not_before=not_before)
