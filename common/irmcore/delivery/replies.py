"""What a reply of the service means for a batch. Pure: no waiting, no I/O.

To add a rule, add a line to ``_RULES``. docs/delivery.md shows the table; a test keeps the two in step.
"In doubt" means that the service may or may not have kept the rows.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from irmcore.http.outcome import MAX_WAIT, Failure, Outcome, backoff


class Action(enum.Enum):
    """What to do with the batch. PAUSE also stops the connector."""

    SENT = "sent"
    RETRY = "retry"
    HOLD = "hold"
    DEAD = "dead"
    SPLIT = "split"
    PAUSE = "pause"
    REFRESH = "refresh"  # get a new token and send the same batch again, once


@dataclass(frozen=True)
class Decision:
    """``code`` names the rule (http-403, reset-after-commit); ``wait`` in seconds, for RETRY.

    ``doubt``: whether the service kept the rows is unknown. ``flagged``: a 207, perhaps accepted in part.
    """

    action: Action
    code: str
    wait: float = 0.0
    doubt: bool = False
    flagged: bool = False


_RULES: Mapping[int, Action] = {
    400: Action.DEAD,
    401: Action.REFRESH,
    403: Action.PAUSE,
    404: Action.PAUSE,
    407: Action.PAUSE,
    408: Action.RETRY,
    413: Action.SPLIT,
    415: Action.DEAD,
    422: Action.DEAD,
    429: Action.RETRY,
    500: Action.RETRY,
    502: Action.HOLD,
    503: Action.RETRY,
    504: Action.HOLD,
}


def decide(outcome: Outcome, *, attempt: int, refreshed: bool, in_doubt: str, jitter: float) -> Decision:
    """What to do after ``outcome``.

    ``attempt`` counts from 1. ``refreshed``: the token is new already. ``in_doubt``: the destination's
    policy, hold or resend. ``jitter``: a random number in [0, 1).
    """
    wait = backoff(attempt, jitter)
    if isinstance(outcome, Failure):
        if outcome.committed:
            action = Action.RETRY if in_doubt == "resend" else Action.HOLD
            return Decision(action, f"{outcome.kind}-after-commit", wait, doubt=True)
        if outcome.kind == "proxy-auth":
            return Decision(Action.PAUSE, "http-407")
        return Decision(Action.RETRY, outcome.kind, wait)
    code = f"http-{outcome.status}"
    if 200 <= outcome.status < 300 and outcome.page:
        hold = Action.RETRY if in_doubt == "resend" else Action.HOLD
        return Decision(hold, "html-answer", wait, doubt=True)
    if 200 <= outcome.status < 300:
        return Decision(Action.SENT, code, flagged=outcome.status == 207)
    action = _action(outcome.status)
    if action is Action.REFRESH and refreshed:
        action = Action.PAUSE
    doubt = action is Action.HOLD and outcome.committed
    if action is Action.HOLD and (in_doubt == "resend" or not doubt):
        action = Action.RETRY
    if outcome.wait is not None:
        wait = min(max(outcome.wait, 0.0), MAX_WAIT)
    return Decision(action, code, wait if action is Action.RETRY else 0.0, doubt=doubt)


def _action(status: int) -> Action:
    if status in _RULES:
        return _RULES[status]
    if 300 <= status < 400:
        return Action.PAUSE  # never followed: the token must not go to another host
    if 400 <= status < 500:
        return Action.DEAD  # the service rejects the request itself
    return Action.HOLD  # 1xx and 5xx without a rule: nobody can tell what happened to the rows
