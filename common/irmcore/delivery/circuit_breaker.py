"""The circuit breaker of a connector: whether it may send now, and when it tries again. Pure.

- Two outcomes in doubt in a row trip the breaker, so that an outage of hours holds two batches and not the
  whole queue.
- 401 (after a refresh), 403, 404, 407 and redirects pause the connector. So do three refusals (400, 415,
  422) in a row: a wrong column must not kill the queue.
- Three failures in a row before the COMMIT point (500, 503, no connection …), or one 429, delay the queue
  by 5 s, then 10, 20 … up to an hour, or as long as the service asks. So a service that is down for a week
  is not called once per batch. The breaker stays closed, and no person is needed.
- A breaker that is tripped or paused lets one batch through as a probe after 5 minutes, then after
  twice the delay each time, up to an hour. A success closes it; so do a changed configuration and
  ``irmexport resume``.

Libraries for retries and circuit breakers (tenacity, pybreaker) keep their state in memory or wait inside a
call. Here the state must survive the process on disk, and one drain must never wait for the next probe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from irmcore.delivery.replies import Action, Decision
from irmcore.http.outcome import FIRST_WAIT, MAX_WAIT

FIRST_PROBE = 300.0
LAST_PROBE = 3600.0
DOUBTS = 2
REFUSALS = 3
FAILURES = 3
#: The service asks this client to slow down, whatever the batch.
THROTTLED = "http-429"

#: Uploads are sent. On disk the word is "open".
CLOSED = "open"
TRIPPED = "breaker"  # several uploads in a row had no clear outcome
PAUSED = "paused"  # a person must correct something
#: The reason of a pause because the credential cannot be read.
CREDENTIAL = "credential"
#: The reason of a pause because the stored breaker cannot be read. No probe ends it, only a person does.
UNREADABLE = "breaker-damaged"


@dataclass(frozen=True)
class CircuitBreaker:
    """``reason`` is the code of the decision that stopped or delayed sending. Times in seconds since 1970.

    ``probe_at`` is when a batch may go again, and was set ``delay`` seconds before that. ``setup``
    fingerprints the configuration that the rest was recorded under.
    """

    mode: str = CLOSED
    reason: str = ""
    since: float = 0.0
    probe_at: float = 0.0
    delay: float = 0.0
    doubts: int = 0
    refusals: int = 0
    failures: int = 0
    setup: str = ""

    def as_record(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(record: Mapping[str, Any]) -> CircuitBreaker:
        """The breaker in a stored record. Raises KeyError, TypeError if it holds none."""
        return CircuitBreaker(**{name: record[name] for name in CircuitBreaker.__dataclass_fields__})


#: What a stored breaker counts as that cannot be read.
DAMAGED = CircuitBreaker(PAUSED, UNREADABLE)


def may_send(breaker: CircuitBreaker, now: float, setup: str) -> bool:
    """Whether a batch may go now, as a probe or otherwise.

    A credential that cannot be read costs no request, so each drain reads it again.
    """
    if breaker.reason in (CREDENTIAL, UNREADABLE):
        return breaker.reason == CREDENTIAL
    return breaker.setup != setup or now >= next_probe(breaker, now)


def next_probe(breaker: CircuitBreaker, now: float) -> float:
    """When the next batch may go; 0 if only a person ends the pause.

    A clock that was set back does not extend the delay.
    """
    if breaker.reason == UNREADABLE:
        return 0.0
    # A second of tolerance: sums of floats are not exact.
    return breaker.probe_at if breaker.probe_at - now <= breaker.delay + 1.0 else now


def due(not_before: float, now: float) -> float:
    """When a batch may go that was to be sent again at ``not_before``.

    No delay is longer than an hour, so a later time comes from a clock that was wrong: it may go now.
    """
    return not_before if not_before - now <= MAX_WAIT else now


def is_probe(breaker: CircuitBreaker, setup: str) -> bool:
    """Whether a batch that goes now is a probe. A batch that is refused as a probe is not DEAD."""
    return breaker.mode != CLOSED and breaker.setup == setup


def after(breaker: CircuitBreaker, decision: Decision, now: float, setup: str) -> CircuitBreaker:
    """The breaker after a batch ended with ``decision``."""
    if breaker.setup != setup:
        breaker = CircuitBreaker(setup=setup)
    if decision.action is Action.SENT or decision.action is Action.SPLIT:
        return CircuitBreaker(setup=setup)
    if decision.action is Action.PAUSE:
        return _stop(breaker, PAUSED, decision.code, now)
    if breaker.mode == CLOSED:
        failed = decision.action is Action.RETRY and not decision.doubt
        breaker = _delay(breaker, decision, now) if failed else replace(breaker, failures=0, **_NO_DELAY)
    if decision.doubt:
        breaker = replace(breaker, doubts=breaker.doubts + 1)
        if breaker.doubts >= DOUBTS:
            return _stop(breaker, TRIPPED, decision.code, now)
    elif decision.action is Action.DEAD:
        breaker = replace(breaker, doubts=0, refusals=breaker.refusals + 1)
        if breaker.refusals >= REFUSALS:
            return _stop(breaker, PAUSED, decision.code, now)
    # Anything else only means that the probe failed.
    return _stop(breaker, breaker.mode, breaker.reason, now) if breaker.mode != CLOSED else breaker


_NO_DELAY: Mapping[str, Any] = {"reason": "", "probe_at": 0.0, "delay": 0.0}


def _delay(breaker: CircuitBreaker, decision: Decision, now: float) -> CircuitBreaker:
    """A closed breaker after one more failure: delay the queue after several, or if the service asks."""
    failures = breaker.failures + 1
    own = FIRST_WAIT * 2.0 ** min(failures - FAILURES, 20) if failures >= FAILURES else 0.0
    asked = decision.wait if decision.code == THROTTLED or own else 0.0
    wait = min(max(own, asked), LAST_PROBE)
    if not wait:
        return replace(breaker, failures=failures, **_NO_DELAY)
    return replace(breaker, failures=failures, reason=decision.code, probe_at=now + wait, delay=wait)


def _stop(breaker: CircuitBreaker, mode: str, reason: str, now: float) -> CircuitBreaker:
    delay = min(breaker.delay * 2, LAST_PROBE) if breaker.mode != CLOSED else FIRST_PROBE
    since = breaker.since if breaker.mode != CLOSED else now
    return replace(breaker, mode=mode, reason=reason, since=since, delay=delay, probe_at=now + delay)
