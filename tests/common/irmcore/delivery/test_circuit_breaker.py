"""The circuit breaker: what stops sending, when a probe goes, and what closes the breaker again."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from irmcore.delivery.circuit_breaker import (
    CLOSED,
    PAUSED,
    TRIPPED,
    CircuitBreaker,
    after,
    is_probe,
    may_send,
    next_probe,
)
from irmcore.delivery.replies import Action, Decision

NOW = 1_770_000_000.25
YEAR = 365 * 86_400.0

SENT = Decision(Action.SENT, "http-200")
SPLIT = Decision(Action.SPLIT, "http-413")
HELD = Decision(Action.HOLD, "timeout-after-commit", doubt=True)
RESENT = Decision(Action.RETRY, "timeout-after-commit", 5.0, doubt=True)
RETRY = Decision(Action.RETRY, "http-503", 5.0)
DEAD = Decision(Action.DEAD, "http-400")
PAUSE = Decision(Action.PAUSE, "http-403")


def at(*decisions: Decision, now: float = NOW, setup: str = "s") -> CircuitBreaker:
    """The breaker after these decisions, all at one moment."""
    breaker = CircuitBreaker()
    for decision in decisions:
        breaker = after(breaker, decision, now, setup)
    return breaker


@pytest.mark.parametrize(
    ("decisions", "mode", "reason"),
    [
        ((), CLOSED, ""),
        ((HELD,), CLOSED, ""),
        ((HELD, HELD), TRIPPED, "timeout-after-commit"),
        ((RESENT, RESENT), TRIPPED, "timeout-after-commit"),
        ((HELD, RESENT), TRIPPED, "timeout-after-commit"),
        ((HELD, RETRY, HELD), TRIPPED, "timeout-after-commit"),
        ((HELD, SENT, HELD), CLOSED, ""),
        ((HELD, SPLIT, HELD), CLOSED, ""),
        ((HELD, DEAD, HELD), CLOSED, ""),
        ((RETRY, RETRY), CLOSED, ""),
        ((RETRY, RETRY, SENT, RETRY, RETRY), CLOSED, ""),
        ((RETRY, RETRY, DEAD, RETRY, RETRY), CLOSED, ""),
        ((RETRY, RETRY, HELD, RETRY, RETRY), CLOSED, ""),
        ((DEAD, DEAD), CLOSED, ""),
        ((DEAD, DEAD, DEAD), PAUSED, "http-400"),
        ((DEAD, DEAD, SENT, DEAD), CLOSED, ""),
        ((DEAD, DEAD, RETRY, DEAD), PAUSED, "http-400"),
        ((PAUSE,), PAUSED, "http-403"),
        ((PAUSE, SENT), CLOSED, ""),
        ((PAUSE, SPLIT), CLOSED, ""),
        ((HELD, HELD, SENT), CLOSED, ""),
        ((PAUSE, RETRY), PAUSED, "http-403"),
        ((HELD, HELD, RETRY), TRIPPED, "timeout-after-commit"),
        ((HELD, HELD, PAUSE), PAUSED, "http-403"),
    ],
)
def test_what_opens_and_closes_the_breaker(decisions: tuple[Decision, ...], mode: str, reason: str) -> None:
    """Two doubts, three refusals or one reason to pause stop sending; a success closes the breaker."""
    breaker = at(*decisions)
    assert (breaker.mode, breaker.reason) == (mode, reason)
    assert may_send(breaker, NOW, "s") is (mode == CLOSED)
    assert is_probe(breaker, "s") is (mode != CLOSED)


def test_failures_in_a_row_let_the_queue_rest() -> None:
    """Three failures delay the queue by 5 s, then 10, 20 … up to an hour, until a success."""
    breaker, now, rests = at(RETRY, RETRY), NOW, []
    for _ in range(14):
        assert may_send(breaker, now, "s")
        breaker = after(breaker, RETRY, now, "s")
        assert (breaker.mode, breaker.reason, is_probe(breaker, "s")) == (CLOSED, "http-503", False)
        rests.append(next_probe(breaker, now) - now)
        assert not may_send(breaker, now, "s")
        assert may_send(breaker, now, "other")
        now = next_probe(breaker, now)
    assert rests == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600, 3600]
    assert after(breaker, SENT, now, "s") == CircuitBreaker(setup="s")
    assert may_send(breaker, NOW - YEAR, "s")


def test_a_retry_after_of_429_delays_all_batches() -> None:
    """A 429 delays the queue as long as it asks; a 503 with Retry-After delays only its batch."""
    breaker = at(Decision(Action.RETRY, "http-429", 600.0))
    assert not may_send(breaker, NOW + 599, "s")
    assert may_send(breaker, NOW + 600, "s")
    assert may_send(at(Decision(Action.RETRY, "http-503", 600.0)), NOW, "s")
    assert may_send(at(Decision(Action.RETRY, "http-429", 0.0)), NOW, "s")


def test_a_success_forgets_all() -> None:
    """A success resets the breaker."""
    assert at(HELD, HELD, PAUSE, SENT) == CircuitBreaker(setup="s")


@pytest.mark.parametrize("closing", [(PAUSE,), (HELD, HELD), (DEAD, DEAD, DEAD)])
@pytest.mark.parametrize("failing", [PAUSE, HELD, RESENT, RETRY, DEAD])
def test_probes_come_half_as_often_up_to_once_an_hour(
    closing: tuple[Decision, ...], failing: Decision
) -> None:
    """One batch goes after 5, 10, 20, 40 and 60 minutes; ``since`` stays the first time."""
    breaker, now = at(*closing), NOW
    for minutes in (5, 10, 20, 40, 60, 60, 60):
        assert next_probe(breaker, now) == now + minutes * 60
        assert not may_send(breaker, now, "s")
        assert not may_send(breaker, now + minutes * 60 - 0.5, "s")
        assert may_send(breaker, now + minutes * 60, "s")
        now += minutes * 60
        breaker = after(breaker, failing, now, "s")
        assert breaker.mode != CLOSED
        assert breaker.since == NOW


def test_a_changed_configuration_closes_the_breaker() -> None:
    """With a changed configuration batches go at once, the first is no probe, and counts restart."""
    for breaker in (at(PAUSE), at(HELD, HELD)):
        assert may_send(breaker, NOW, "other")
        assert not is_probe(breaker, "other")
        assert after(breaker, SENT, NOW, "other") == CircuitBreaker(setup="other")
        paused = after(breaker, PAUSE, NOW + 9, "other")
        assert (paused.since, paused.delay, paused.setup) == (NOW + 9, 300.0, "other")
    assert after(at(HELD), HELD, NOW, "other").mode == CLOSED
    assert after(at(DEAD, DEAD), DEAD, NOW, "other").mode == CLOSED


@pytest.mark.parametrize("delay", [300.0, 600.0, 3600.0])
@pytest.mark.parametrize("back", [3600.0 + 2, YEAR])
def test_a_clock_set_back_does_not_keep_the_breaker_open_for_longer(delay: float, back: float) -> None:
    """If the clock was set back, the next probe is due and not delayed by a year."""
    breaker = CircuitBreaker(PAUSED, "http-403", since=NOW, probe_at=NOW + delay, delay=delay, setup="s")
    assert next_probe(breaker, NOW - back) == NOW - back
    assert may_send(breaker, NOW - back, "s")
    again = after(breaker, PAUSE, NOW - back, "s")
    assert again.probe_at == NOW - back + min(2 * delay, 3600.0)
    assert not may_send(again, NOW - back, "s")


def test_a_clock_set_forward_lets_a_probe_through() -> None:
    """A year later a probe is long due."""
    assert may_send(at(PAUSE), NOW + YEAR, "s")


@given(st.floats(0, 4e9), st.sampled_from((300.0, 600.0, 1200.0, 2400.0, 3600.0)))
@example(651.592972722763, 600.0)
@example(2147482792.4820707, 3600.0)
def test_a_breaker_that_has_just_opened_is_open(now: float, delay: float) -> None:
    """No rounding of floats lets a batch through right after the breaker tripped."""
    breaker = CircuitBreaker(PAUSED, "http-403", since=now, probe_at=now + delay, delay=delay, setup="s")
    assert not may_send(breaker, now, "s")


def test_a_breaker_is_stored_and_read_back() -> None:
    """A stored breaker is JSON and can be read back; a record that lacks a key cannot."""
    breaker = at(HELD, HELD)
    record = json.loads(json.dumps(breaker.as_record()))
    assert CircuitBreaker.of(record) == breaker
    assert CircuitBreaker.of({**record, "of a later version": 1}) == breaker
    with pytest.raises(KeyError):
        CircuitBreaker.of({"mode": CLOSED})


@given(
    st.lists(
        st.tuples(st.sampled_from((SENT, SPLIT, HELD, RESENT, RETRY, DEAD, PAUSE)), st.floats(0, 7200)),
        max_size=30,
    )
)
def test_a_breaker_is_never_open_for_more_than_an_hour(steps: list[tuple[Decision, float]]) -> None:
    """A batch may always go within an hour; two doubts or three refusals stop sending."""
    breaker, now = CircuitBreaker(setup="s"), NOW
    for decision, later in steps:
        now += later
        if may_send(breaker, now, "s"):
            breaker = after(breaker, decision, now, "s")
    assert may_send(breaker, now + 3600.0, "s")
    assert breaker.mode != CLOSED or (breaker.doubts < 2 and breaker.refusals < 3)
