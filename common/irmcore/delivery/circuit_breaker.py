"""Whether a connector may send now: the breaker, the pauses and their probes. Pure.

- Two results in doubt in a row open the breaker, so an outage of hours holds two batches, not the queue.
- 401 (after a refresh), 403, 404, 407 and redirects pause the connector; so do three refusals (400,
  415, 422) in a row: a wrong column must not kill the queue.
- Three tries in a row that failed before they were in doubt (500, 503, no connection …), or a 429, let the
  queue rest for 5 s, then 10, 20 … to an hour, or as the service asks: a service that is down for a week is
  not asked once for each batch. The gate stays open; nobody is needed.
- A closed gate lets one batch through as a probe, after 5 minutes and then half as often, up to once
  an hour. A success opens it; so do a changed configuration and ``irmexport resume``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from irmcore.delivery.replies import FIRST_WAIT, Action, Decision

FIRST_PROBE = 300.0
LAST_PROBE = 3600.0
DOUBTS = 2
REFUSALS = 3
FAILURES = 3
#: The service asks this client to slow down, whatever the batch.
THROTTLED = "http-429"

#: Uploads go. On disk the word is "open", as of a gate that lets batches pass.
CLOSED = "open"
TRIPPED = "breaker"  # several uploads in a row had no clear outcome
PAUSED = "paused"  # something must be put right
#: The reason of a pause without a credential.
CREDENTIAL = "credential"


@dataclass(frozen=True)
class CircuitBreaker:
    """``reason`` is the code of the decision that closed it, or lets it rest; times in seconds since 1970.

    ``probe_at`` is when a batch may go again, ``delay`` how long before it was set; ``setup`` fingerprints
    the configuration that the gate was closed under.
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
        """The gate of a stored record. Raises KeyError, TypeError for a record that is none."""
        return CircuitBreaker(**{name: record[name] for name in CircuitBreaker.__dataclass_fields__})


def may_send(breaker: CircuitBreaker, now: float, setup: str) -> bool:
    """Whether a batch may go now, be it as a probe.

    A credential that could not be read has cost no request, so it is looked for each time.
    """
    if breaker.reason == CREDENTIAL:
        return True
    return breaker.setup != setup or now >= next_probe(breaker, now)


def next_probe(breaker: CircuitBreaker, now: float) -> float:
    """When the next batch may go. A clock that was set back does not put it off beyond its delay."""
    # A second of tolerance: sums of floats are not exact.
    return breaker.probe_at if breaker.probe_at - now <= breaker.delay + 1.0 else now


def is_probe(breaker: CircuitBreaker, setup: str) -> bool:
    """Whether a batch that goes now is a probe: one refused as a probe is not given up."""
    return breaker.mode != CLOSED and breaker.setup == setup


def after(breaker: CircuitBreaker, decision: Decision, now: float, setup: str) -> CircuitBreaker:
    """The gate after a batch ended with ``decision``."""
    if breaker.setup != setup:
        breaker = CircuitBreaker(setup=setup)
    if decision.action is Action.SENT or decision.action is Action.SPLIT:
        return CircuitBreaker(setup=setup)
    if decision.action is Action.PAUSE:
        return _close(breaker, PAUSED, decision.code, now)
    if breaker.mode == CLOSED:
        failed = decision.action is Action.RETRY and not decision.doubt
        breaker = _rest(breaker, decision, now) if failed else replace(breaker, failures=0, **_AWAKE)
    if decision.doubt:
        breaker = replace(breaker, doubts=breaker.doubts + 1)
        if breaker.doubts >= DOUBTS:
            return _close(breaker, TRIPPED, decision.code, now)
    elif decision.action is Action.DEAD:
        breaker = replace(breaker, doubts=0, refusals=breaker.refusals + 1)
        if breaker.refusals >= REFUSALS:
            return _close(breaker, PAUSED, decision.code, now)
    # All else says nothing new of a closed gate but that the probe failed.
    return _close(breaker, breaker.mode, breaker.reason, now) if breaker.mode != CLOSED else breaker


_AWAKE: Mapping[str, Any] = {"reason": "", "probe_at": 0.0, "delay": 0.0}


def _rest(breaker: CircuitBreaker, decision: Decision, now: float) -> CircuitBreaker:
    """An open gate after one more failure: the queue rests once there were several, or the service asks."""
    failures = breaker.failures + 1
    own = FIRST_WAIT * 2.0 ** min(failures - FAILURES, 20) if failures >= FAILURES else 0.0
    asked = decision.wait if decision.code == THROTTLED or own else 0.0
    wait = min(max(own, asked), LAST_PROBE)
    if not wait:
        return replace(breaker, failures=failures, **_AWAKE)
    return replace(breaker, failures=failures, reason=decision.code, probe_at=now + wait, delay=wait)


def _close(breaker: CircuitBreaker, mode: str, reason: str, now: float) -> CircuitBreaker:
    delay = min(breaker.delay * 2, LAST_PROBE) if breaker.mode != CLOSED else FIRST_PROBE
    since = breaker.since if breaker.mode != CLOSED else now
    return replace(breaker, mode=mode, reason=reason, since=since, delay=delay, probe_at=now + delay)
