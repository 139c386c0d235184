"""What an answer of the service means for a batch: pure functions, no waiting, no I/O.

A new rule is a new line in ``_RULES`` beside its neighbours. docs/delivery.md shows this table; a
test keeps the two in step. "In doubt" means that the service may or may not have kept the rows.
"""

from __future__ import annotations

import datetime
import email.utils
import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

#: Longest wait that a Retry-After may ask for, and longest of our own, in seconds.
MAX_WAIT = 3600.0
FIRST_WAIT = 5.0


@dataclass(frozen=True)
class Reply:
    """An HTTP answer. ``text`` is the beginning of its body, for the operator; ``wait`` in seconds.

    ``page``: the body is HTML, which the service never answers: a proxy's sign-in page does.
    """

    status: int
    request_id: str = ""
    text: str = ""
    wait: float | None = None
    page: bool = False
    committed: bool = True


@dataclass(frozen=True)
class Failure:
    """No answer. ``kind``: dns, refused, tls, proxy, proxy-auth, reset, timeout, protocol.

    ``committed`` says whether the last bytes of the body may have left.
    """

    kind: str
    committed: bool


Outcome = Union[Reply, Failure]


class Action(enum.Enum):
    """What is done with the batch; PAUSE also stops the connector."""

    SENT = "sent"
    RETRY = "retry"
    HOLD = "hold"
    DEAD = "dead"
    SPLIT = "split"
    PAUSE = "pause"
    REFRESH = "refresh"  # a new token, the same batch, once


@dataclass(frozen=True)
class Decision:
    """``code`` names the rule (http-403, reset-after-commit); ``wait`` in seconds, for RETRY.

    ``doubt``: nobody can say whether the rows were kept; ``flagged``: a 207, accepted in part perhaps.
    """

    action: Action
    code: str
    wait: float = 0.0
    doubt: bool = False
    flagged: bool = False


#: A value worth hiding: shorter ones (a number, a code) say nothing without the row.
_CELL = re.compile(r'[^",\r\n]{4,}')

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

    ``attempt`` counts from 1; ``refreshed``: the token is new already; ``in_doubt``: the
    destination's policy, hold or resend; ``jitter``: a random number in [0, 1).
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


def without_values(text: str, payload: bytes) -> str:
    """A reply's text without the values of the rows it may quote; the payload's header stays readable."""
    header, _, rows = payload.decode("utf-8", "replace").partition("\n")
    columns = set(_CELL.findall(header))
    for cell in sorted(set(_CELL.findall(rows)) - columns, key=len, reverse=True):
        if cell in text:
            text = text.replace(cell, "…")
    return text


def _action(status: int) -> Action:
    if status in _RULES:
        return _RULES[status]
    if 300 <= status < 400:
        return Action.PAUSE  # never followed: the token must not leave for another host
    if 400 <= status < 500:
        return Action.DEAD  # the service says that the request is wrong
    return Action.HOLD  # 1xx and 5xx that no rule knows: nobody can say what became of the rows


def backoff(attempt: int, jitter: float) -> float:
    """Seconds before attempt ``attempt + 1``: 5, 10, 20 … to an hour, less up to half by jitter."""
    return min(FIRST_WAIT * 2.0 ** min(attempt - 1, 20), MAX_WAIT) * (1.0 - jitter / 2)


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for: a number or an HTTP date; None if it says nothing."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_WAIT)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError, IndexError):  # IndexError: Python 3.9
        return None
    if moment.tzinfo is None:  # HTTP dates are in GMT, whatever the time zone of this machine
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return min(max(moment.timestamp() - now, 0.0), MAX_WAIT)
