"""The states of a batch, and what each records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

PROPOSED = "PROPOSED"  # accepted; waits until a person releases it, and is never sent before
READY = "READY"  # accepted; may be sent
INTENT = "INTENT"  # an attempt began; the body is not complete on the wire, so resending is safe
COMMIT = "COMMIT"  # the last bytes may have left; without a reply the outcome is in doubt
RETRY = "RETRY"  # certainly not accepted; send again after `not_before`
HELD = "HELD"  # in doubt; a person decides
DEAD = "DEAD"  # the service refused it; a person decides
SPLIT = "SPLIT"  # too large; replaced by its halves
SENT = "SENT"  # a receipt arrived, or a person confirmed it
WITHDRAWN = "WITHDRAWN"  # a person gave it up; its rows may be accepted again
ERASED = "ERASED"  # its rows were deleted unsent; they still count as accepted
PROMOTED = "PROMOTED"  # it was moved to an outbox on a store, which knows its rows from then on

#: The sender works on these.
LIVE = (READY, INTENT, COMMIT, RETRY, SPLIT)
#: A person must decide.
NEEDS_PERSON = (HELD, DEAD)
#: Nothing more to do; the batch moves to `done/`.
ENDED = (SENT, WITHDRAWN, ERASED, PROMOTED)
#: This outbox no longer knows the rows: they may be accepted again.
GIVEN_UP = (WITHDRAWN, PROMOTED)

_TEXT = 64
#: How much of a batch's id its state records repeat.
_NAMED = 16


class State(NamedTuple):
    """A batch's state. Times in seconds since 1970.

    ``order`` keeps the queue first in, first out. ``reason`` is a reply code such as ``http-403`` or
    a word such as ``resolved``. ``request_id`` is the service's, for a support request.
    """

    name: str
    at: float
    order: int
    attempts: int = 0
    not_before: float = 0.0
    reason: str = ""
    status: int = 0
    request_id: str = ""

    def as_record(self, batch: str) -> dict[str, Any]:
        """The state record of the batch with the id ``batch``, which it names."""
        record = {"batch": batch[:_NAMED], **self._asdict()}
        record["reason"] = _short(self.reason)
        record["request_id"] = _short(self.request_id)
        return record

    @staticmethod
    def of(record: Mapping[str, Any], batch: str) -> State:
        """The state in a state record. Raises KeyError, TypeError if it holds none of this batch."""
        if record["batch"] != batch[:_NAMED]:
            raise KeyError("batch")
        return State(**{name: record[name] for name in State._fields})


def _short(text: str) -> str:
    """``text`` as printable ASCII, short enough for a state record."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(c if " " <= c <= "~" else "?" for c in text)
    return text[:_TEXT]
