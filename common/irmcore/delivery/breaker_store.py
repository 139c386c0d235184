"""A connector's gate on disk: whether it may send, kept beside its batches.

Apart from ``delivery``, so that who only asks (Splunk's search command) loads no network library.
"""

from __future__ import annotations

from irmcore.delivery.circuit_breaker import CircuitBreaker
from irmcore.outbox import Outbox, state_file


def load_breaker(outbox: Outbox) -> tuple[CircuitBreaker, int]:
    """The connector's gate and its slot number; an open one if none was stored or it cannot be read."""
    data = outbox.read_file("gate")
    if data is None:
        return CircuitBreaker(), -1
    found = state_file.decode(data, f"{outbox.path}/gate")
    try:
        return (
            CircuitBreaker.of(found.record) if found.record is not None else CircuitBreaker()
        ), found.number
    except (KeyError, TypeError):
        return CircuitBreaker(), found.number


def store_breaker(outbox: Outbox, breaker: CircuitBreaker, number: int) -> int:
    """Write the gate after slot ``number``, durably; gives the new number. The file is reserved once."""
    if outbox.read_file("gate") is None:
        outbox.replace_file("gate", state_file.new_file(CircuitBreaker().as_record()))
        number = 0
    state_file.write(outbox.disk, f"{outbox.path}/gate", breaker.as_record(), number + 1)
    return number + 1
