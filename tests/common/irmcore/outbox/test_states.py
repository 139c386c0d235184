"""The states of a batch, and what a state record holds."""

from __future__ import annotations

import pytest
from irmcore.outbox import state_file, states
from irmcore.outbox.states import State

SENT = State(
    "SENT",
    at=1_770_000_000.5,
    order=1_770_000_000_000_000_000,
    attempts=2,
    not_before=0.0,
    reason="http-200",
    status=200,
    request_id="abc-123",
)


def test_a_record_is_pinned() -> None:
    """A state's record has these names; other versions of irmexport read them."""
    assert SENT.as_record() == {
        "name": "SENT",
        "at": 1_770_000_000.5,
        "order": 1_770_000_000_000_000_000,
        "attempts": 2,
        "not_before": 0.0,
        "reason": "http-200",
        "status": 200,
        "request_id": "abc-123",
    }
    assert State.of(SENT.as_record()) == SENT


def test_every_state_is_of_one_kind() -> None:
    """Each state is one that the sender works on, that a person must decide on, or that is final."""
    kinds = [states.LIVE, states.NEEDS_PERSON, states.ENDED]
    names = [name for kind in kinds for name in kind]
    assert sorted(names) == sorted(
        ["READY", "INTENT", "COMMIT", "RETRY", "HELD", "DEAD", "SPLIT", "SENT", "WITHDRAWN"]
    )


def test_what_a_service_says_always_fits() -> None:
    """The longest and strangest texts of a service still fit a state record, as printable ASCII."""
    state = State(
        "WITHDRAWN",
        at=253_402_300_799.123456,
        order=2**63,
        attempts=10**9,
        not_before=253_402_300_799.123456,
        reason="\N{GRINNING FACE}\r\n\0" * 100,
        status=599,
        request_id='"\\' * 100,
    )
    record = state.as_record()
    assert record["reason"] == ("????" * 16)
    assert record["request_id"] == '"\\' * 32
    assert State.of(state_file.decode(state_file.new_file(record), "s").record or {}).attempts == 10**9


@pytest.mark.parametrize("record", [{}, {"name": "SENT"}])
def test_what_is_no_state_is_refused(record: dict[str, str]) -> None:
    """A record that lacks a name is not a state."""
    with pytest.raises(KeyError):
        State.of(record)
