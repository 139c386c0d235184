"""The states of a batch, and what a state record holds."""

from __future__ import annotations

from typing import Any

import pytest
from irmcore.outbox import state_file, states
from irmcore.outbox.states import State

BATCH = "0123456789abcdef" * 4
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
    assert SENT.as_record(BATCH) == {
        "batch": "0123456789abcdef",
        "name": "SENT",
        "at": 1_770_000_000.5,
        "order": 1_770_000_000_000_000_000,
        "attempts": 2,
        "not_before": 0.0,
        "reason": "http-200",
        "status": 200,
        "request_id": "abc-123",
    }
    assert State.of(SENT.as_record(BATCH), BATCH) == SENT


def test_every_state_is_of_one_kind() -> None:
    """The sender works on a state, or a person releases it or decides on it, or it is final."""
    kinds = [states.LIVE, (states.PROPOSED,), states.NEEDS_PERSON, states.ENDED]
    names = [name for kind in kinds for name in kind]
    assert sorted(names) == sorted(
        [
            "PROPOSED",
            "READY",
            "INTENT",
            "COMMIT",
            "RETRY",
            "HELD",
            "DEAD",
            "SPLIT",
            "SENT",
            "WITHDRAWN",
            "ERASED",
            "PROMOTED",
        ]
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
    record = state.as_record(BATCH)
    assert record["reason"] == ("????" * 16)
    assert record["request_id"] == '"\\' * 32
    assert State.of(state_file.decode(state_file.new_file(record), "s").record or {}, BATCH).attempts == 10**9


@pytest.mark.parametrize(
    "record", [{}, {"batch": BATCH[:16], "name": "SENT"}, SENT.as_record("f" * 64), {"name": "SENT"}]
)
def test_what_is_no_state_is_refused(record: dict[str, Any]) -> None:
    """A record that lacks a name, or names another batch, is not a state."""
    with pytest.raises(KeyError):
        State.of(record, BATCH)
