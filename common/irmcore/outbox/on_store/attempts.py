"""The states of a batch on a store: numbered records, each of which one process claims.

Two senders that saw the same state cannot both go on, so no lease is needed. A claim that is lost raises
Overtaken. COMMIT follows the INTENT of the same attempt, and no attempt commits after a receipt or while
another is in doubt. Not promised: a sender that freezes between its last look at the deadline and the last
bytes may still send them; the batch is held by then, and a person decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from irmcore.clock import Clock
from irmcore.errors import Overtaken, StoreAway
from irmcore.outbox import states
from irmcore.outbox.on_store import records
from irmcore.outbox.states import State
from irmcore.store.numbered import Sequence

#: Seconds by which the clocks of two machines may differ.
MARGIN = 300.0
#: Seconds for which an outcome is tried to be recorded while the store is away, and between two tries.
PATIENCE, PAUSE = 60.0, 2.0


class Newest(NamedTuple):
    """The newest state of a batch: its number, and the record."""

    number: int
    record: Mapping[str, Any]

    @property
    def until(self) -> float:
        """When an upload that committed has ended (seconds since 1970)."""
        return float(self.record.get("until", 0.0))


def newest_of(found: Sequence) -> Newest | None:
    """The newest state, None if there is none: the batch is READY. Raises StoreAway, StoreRefused."""
    newest = found.newest()
    return Newest(newest.number, records.decode(newest.value, found.key(newest.number))) if newest else None


class Attempts:
    """Claims states of batches for one process, which ``who`` names in each record."""

    def __init__(self, clock: Clock, who: str) -> None:
        self._clock, self._who = clock, who

    def claim(self, found: Sequence, number: int, batch: str, state: State, *, rest: str = "") -> None:
        """Make ``state`` number ``number`` of the batch. Raises Overtaken, StoreAway, StoreRefused.

        ``rest``: the batch that takes its place from then on.
        """
        more = {"rest": rest} if rest else {}
        if not found.append(number - 1, self._value(batch, state, **more)):
            raise overtaken(batch)

    def commit(self, found: Sequence, number: int, batch: str, state: State, seconds: float) -> None:
        """The same for COMMIT of an upload ending in ``seconds``, which must be aborted after any error."""
        end = self._clock.monotonic() + seconds
        value = self._value(batch, state, until=self._clock.now() + seconds)
        retry = self._value(batch, state._replace(name=states.RETRY, reason="store-away"))
        try:
            won = found.append(number - 1, value)
        except StoreAway:
            # Nothing of the tail was sent. Close the number; if the COMMIT is there after all, the next one.
            if not found.append(number - 1, retry) and found.get(number) == value:
                found.append(number, retry)
            raise
        if not won:
            raise overtaken(batch)
        if self._clock.monotonic() >= end:
            found.append(number, retry)
            raise StoreAway(
                "the store answered after the deadline of the upload, which was aborted",
                where=batch[:12],
                next_step="The batch stays queued.",
            )

    def outcome(self, found: Sequence, number: int, batch: str, state: State) -> int:
        """Record what became of an own COMMIT, also while the store is away for a moment; returns the number.

        A receipt counts also if the batch was held meanwhile. Raises Overtaken, StoreAway, StoreRefused.
        """
        value = self._value(batch, state)
        end = self._clock.monotonic() + PATIENCE
        while True:
            try:
                if found.append(number - 1, value):
                    return number
            except StoreAway as error:
                if self._clock.monotonic() >= end:
                    raise _unrecorded(batch, state, error) from None
                self._clock.sleep(PAUSE)
                continue
            if state.name != states.SENT:
                raise overtaken(batch)
            number += 1

    def _value(self, batch: str, state: State, **more: object) -> bytes:
        return records.encode(**state.as_record(batch), by=self._who, **more)


def _unrecorded(batch: str, state: State, error: StoreAway) -> StoreAway:
    if state.name != states.SENT:
        return error
    receipt = f"HTTP {state.status}, request id {state.request_id or 'none'}"
    return StoreAway(
        f"batch {batch[:12]} was sent ({receipt}), but its receipt was not recorded: {error.what}",
        where=error.where,
        next_step=f"Once the batch is HELD, run `irmexport resolve {batch[:12]} --sent --why REASON`.",
    )


def overtaken(batch: str) -> Overtaken:
    """The error of a batch that another process has changed."""
    return Overtaken(
        f"another process has changed batch {batch[:12]} meanwhile",
        next_step=f"Run `irmexport show {batch[:12]}` to see it as it is now.",
    )
