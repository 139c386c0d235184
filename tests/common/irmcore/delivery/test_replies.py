"""What each reply of the service, and each failure to get one, means for a batch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.delivery.replies import Action, Decision, decide
from irmcore.http.outcome import Failure, Outcome, Reply, backoff

FIRST = 5.0  # the first wait, without jitter


def decided(
    outcome: Outcome, *, attempt: int = 1, refreshed: bool = False, in_doubt: str = "hold"
) -> Decision:
    """The decision without jitter."""
    return decide(outcome, attempt=attempt, refreshed=refreshed, in_doubt=in_doubt, jitter=0.0)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Decision(Action.SENT, "http-200")),
        (201, Decision(Action.SENT, "http-201")),
        (202, Decision(Action.SENT, "http-202")),
        (204, Decision(Action.SENT, "http-204")),
        (207, Decision(Action.SENT, "http-207", flagged=True)),
        (299, Decision(Action.SENT, "http-299")),
        (300, Decision(Action.PAUSE, "http-300")),
        (301, Decision(Action.PAUSE, "http-301")),
        (302, Decision(Action.PAUSE, "http-302")),
        (304, Decision(Action.PAUSE, "http-304")),
        (307, Decision(Action.PAUSE, "http-307")),
        (308, Decision(Action.PAUSE, "http-308")),
        (399, Decision(Action.PAUSE, "http-399")),
        (400, Decision(Action.DEAD, "http-400")),
        (401, Decision(Action.REFRESH, "http-401")),
        (402, Decision(Action.DEAD, "http-402")),
        (403, Decision(Action.PAUSE, "http-403")),
        (404, Decision(Action.PAUSE, "http-404")),
        (405, Decision(Action.DEAD, "http-405")),
        (407, Decision(Action.PAUSE, "http-407")),
        (408, Decision(Action.RETRY, "http-408", FIRST)),
        (409, Decision(Action.DEAD, "http-409")),
        (413, Decision(Action.SPLIT, "http-413")),
        (415, Decision(Action.DEAD, "http-415")),
        (418, Decision(Action.DEAD, "http-418")),
        (422, Decision(Action.DEAD, "http-422")),
        (429, Decision(Action.RETRY, "http-429", FIRST)),
        (499, Decision(Action.DEAD, "http-499")),
        (500, Decision(Action.RETRY, "http-500", FIRST)),
        (501, Decision(Action.HOLD, "http-501", doubt=True)),
        (502, Decision(Action.HOLD, "http-502", doubt=True)),
        (503, Decision(Action.RETRY, "http-503", FIRST)),
        (504, Decision(Action.HOLD, "http-504", doubt=True)),
        (511, Decision(Action.HOLD, "http-511", doubt=True)),
        (599, Decision(Action.HOLD, "http-599", doubt=True)),
        (100, Decision(Action.HOLD, "http-100", doubt=True)),
        (199, Decision(Action.HOLD, "http-199", doubt=True)),
        (600, Decision(Action.HOLD, "http-600", doubt=True)),
        (999, Decision(Action.HOLD, "http-999", doubt=True)),
    ],
)
def test_a_reply(status: int, expected: Decision) -> None:
    """What each status means for a batch whose body was sent completely."""
    assert decided(Reply(status)) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, Decision(Action.PAUSE, "http-401")),
        (403, Decision(Action.PAUSE, "http-403")),
        (200, Decision(Action.SENT, "http-200")),
    ],
)
def test_a_reply_to_a_fresh_token(status: int, expected: Decision) -> None:
    """A 401 is followed by one attempt with a new token; the next 401 pauses."""
    assert decided(Reply(status), refreshed=True) == expected


@pytest.mark.parametrize("status", [501, 502, 504, 599])
def test_a_gateways_reply_before_the_body_was_sent(status: int) -> None:
    """A reply that would leave a doubt leaves none if the body was incomplete: the batch is sent again."""
    expected = Decision(Action.RETRY, f"http-{status}", FIRST)
    assert decided(Reply(status, committed=False)) == expected
    assert decided(Reply(status, committed=False), in_doubt="resend") == expected


@pytest.mark.parametrize("status", [401, 413, 400, 403, 429, 500, 200])
def test_an_early_reply_counts(status: int) -> None:
    """A definite reply means the same before the body is complete."""
    assert decided(Reply(status, committed=False)) == decided(Reply(status))


@pytest.mark.parametrize("status", [501, 502, 504])
def test_doubt_with_the_policy_resend(status: int) -> None:
    """With `resend` a batch in doubt is sent again, and the doubt still counts for the breaker."""
    assert decided(Reply(status), in_doubt="resend") == Decision(
        Action.RETRY, f"http-{status}", FIRST, doubt=True
    )


@pytest.mark.parametrize("kind", ["dns", "refused", "tls", "proxy", "reset", "timeout", "protocol"])
def test_a_failure(kind: str) -> None:
    """Without a reply, a batch is retried if its body was incomplete, else held (or sent again)."""
    assert decided(Failure(kind, committed=False)) == Decision(Action.RETRY, kind, FIRST)
    assert decided(Failure(kind, committed=True)) == Decision(
        Action.HOLD, f"{kind}-after-commit", FIRST, doubt=True
    )
    assert decided(Failure(kind, committed=True), in_doubt="resend") == Decision(
        Action.RETRY, f"{kind}-after-commit", FIRST, doubt=True
    )


def test_a_proxy_that_wants_a_sign_in() -> None:
    """A 407 of a proxy's CONNECT pauses as a 407 of the service does."""
    assert decided(Failure("proxy-auth", committed=False)) == Decision(Action.PAUSE, "http-407")


@pytest.mark.parametrize(
    ("attempt", "jitter", "seconds"),
    [
        (1, 0.0, 5.0),
        (2, 0.0, 10.0),
        (3, 0.0, 20.0),
        (10, 0.0, 2560.0),
        (11, 0.0, 3600.0),
        (12, 0.0, 3600.0),
        (10**9, 0.0, 3600.0),
        (1, 0.5, 3.75),
        (1, 0.999, 2.5025),
        (50, 0.999, 1801.8),
    ],
)
def test_the_wait_before_the_next_attempt(attempt: int, jitter: float, seconds: float) -> None:
    """The wait doubles from 5 seconds to an hour, and jitter shortens it by up to half."""
    assert backoff(attempt, jitter) == pytest.approx(seconds)
    outcome = decide(Reply(503), attempt=attempt, refreshed=False, in_doubt="hold", jitter=jitter)
    assert outcome.wait == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("status", "asked", "wait"),
    [
        (429, 7.0, 7.0),
        (503, 0.0, 0.0),
        (503, -5.0, 0.0),
        (503, 1e12, 3600.0),
        (500, 7.0, 7.0),
        (408, 7.0, 7.0),
        (200, 7.0, 0.0),
        (403, 7.0, 0.0),
        (400, 7.0, 0.0),
        (502, 7.0, 0.0),
    ],
)
def test_a_wait_that_the_service_asks_for(status: int, asked: float, wait: float) -> None:
    """A wait of up to an hour that the service asks for replaces our own, for retries only."""
    assert decided(Reply(status, wait=asked), attempt=5).wait == wait


@given(
    st.integers(100, 999).map(Reply)
    | st.builds(Reply, st.integers(100, 999), wait=st.none() | st.floats(-1e9, 1e9), committed=st.booleans())
    | st.builds(Failure, st.sampled_from(("dns", "reset", "proxy-auth", "crash")), st.booleans()),
    st.integers(1, 100),
    st.booleans(),
    st.sampled_from(("hold", "resend")),
    st.floats(0, 0.999),
)
def test_every_decision_keeps_the_promise(
    outcome: Outcome,
    attempt: int,
    refreshed: bool,  # noqa: FBT001
    in_doubt: str,
    jitter: float,
) -> None:
    """SENT needs a 2xx; what may have arrived is sent again only by policy; no wait exceeds an hour."""
    decision = decide(outcome, attempt=attempt, refreshed=refreshed, in_doubt=in_doubt, jitter=jitter)
    status = outcome.status if isinstance(outcome, Reply) else 0
    assert (decision.action is Action.SENT) == (200 <= status < 300)
    if isinstance(outcome, Failure) and outcome.committed and in_doubt == "hold":
        assert decision.action is Action.HOLD
    if decision.action is Action.HOLD:
        assert decision.doubt
        assert in_doubt == "hold"
        assert outcome.committed
    if refreshed:
        assert decision.action is not Action.REFRESH
    assert 0.0 <= decision.wait <= 3600.0
