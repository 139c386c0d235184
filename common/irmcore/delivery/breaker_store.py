"""The circuit breaker of a connector on disk, beside its batches.

Apart from the sender, so that reading it (in Splunk's search command) loads no network library.
"""

from __future__ import annotations

from irmcore.delivery import circuit_breaker
from irmcore.delivery.circuit_breaker import CircuitBreaker
from irmcore.delivery.replies import Decision
from irmcore.errors import Overtaken
from irmcore.outbox import Outbox, state_file
from irmcore.outbox.outbox import BREAKER_FILE


def load_breaker(outbox: Outbox) -> tuple[CircuitBreaker, int]:
    """The connector's breaker and its record number: a closed one if none was stored yet.

    A file that is missing or damaged may have said PAUSED, so it counts as that until a person resumes.
    """
    data = outbox.read_file(BREAKER_FILE) or b""
    if data == state_file.reserved_file():
        return CircuitBreaker(), -1
    found = state_file.decode(data, f"{outbox.path}/{BREAKER_FILE}")
    if found.record is None or found.damaged:
        return circuit_breaker.DAMAGED, -1
    try:
        return CircuitBreaker.of(found.record), found.number
    except (KeyError, TypeError):  # another file's content
        return circuit_breaker.DAMAGED, -1


def store_breaker(outbox: Outbox, breaker: CircuitBreaker, number: int) -> int:
    """Write the breaker after record ``number``, durably, and return the new number.

    Raises OSError, and what ``Outbox.claim_breaker`` raises.
    """
    outbox.claim_breaker(breaker.as_record())
    path = f"{outbox.path}/{BREAKER_FILE}"
    if load_breaker(outbox)[0] == circuit_breaker.DAMAGED:
        outbox.replace_file(BREAKER_FILE, state_file.new_file(breaker.as_record()))
        return 0
    state_file.write(outbox.disk, path, breaker.as_record(), number + 1)
    return number + 1


class StoredBreaker:
    """The breaker during a drain: each change is on disk when ``record`` returns.

    ``setup`` fingerprints the connector's configuration.
    """

    def __init__(self, outbox: Outbox, setup: str) -> None:
        self._outbox = outbox
        self._setup = setup
        self.state, self._number = load_breaker(outbox)

    def may_send(self, now: float) -> bool:
        return circuit_breaker.may_send(self.state, now, self._setup)

    def next_probe(self, now: float) -> float:
        return circuit_breaker.next_probe(self.state, now)

    @property
    def is_probe(self) -> bool:
        """Whether a batch that goes now is a probe."""
        return circuit_breaker.is_probe(self.state, self._setup)

    @property
    def healthy(self) -> bool:
        """Whether it is closed and the last outcome was good."""
        state = self.state
        failed = state.doubts or state.refusals or state.failures
        return state.mode == circuit_breaker.CLOSED and not failed

    def record(self, decision: Decision) -> None:
        """Take a decision about a batch into account. Raises OSError, StoreAway."""
        while True:
            after = circuit_breaker.after(self.state, decision, self._outbox.clock.now(), self._setup)
            if after == self.state:
                return
            try:
                self._number = store_breaker(self._outbox, after, self._number)
            except Overtaken:
                self.state, self._number = load_breaker(self._outbox)
            else:
                self.state = after
                return
