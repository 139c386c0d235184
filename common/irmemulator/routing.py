"""The contract between the server and a service: a request's head in, the endpoint that answers it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from irmemulator.fault_queue import Faults
from irmemulator.faults import Fault
from irmemulator.http_messages import Reply, Request

#: Answers a request. The second argument is the fault that spoils it, if any: then the reply is sent only if
#: the fault has none of its own. The body is None if the client did not send all of it; then no reply is
#: sent.
Answer = Callable[[Request, Fault | None], Reply]

_NEVER_SENT = Reply(500)


@dataclass(frozen=True)
class Route:
    """The endpoint that a request is for.

    Attributes:
        endpoint: The name by which faults are set (`Fault.on`); None: no fault applies.
        answer: What answers the request.
        longest_body: In bytes. A longer body is refused with 413 and not read.
        matched_text: The text in a whole request that `Fault.matching` is compared with; None for a request
            to which no fault applies. Without this function the text is the query string, and the fault is
            chosen before the body is read.
    """

    endpoint: str | None
    answer: Answer
    longest_body: int = 64 * 1024 * 1024
    matched_text: Callable[[Request], str | None] | None = None


class Service(Protocol):
    """What a server serves. Every method is called by several threads at once."""

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""

    def route(self, request: Request) -> Route | Reply:
        """The endpoint for a request whose head was read, or the reply if its body need not be read."""

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """An error in the service's own form."""


def unless_spoiled(act: Callable[[Request], Reply]) -> Answer:
    """Run ``act`` for requests that came whole, and only if their fault lets them take effect."""

    def answer(request: Request, fault: Fault | None) -> Reply:
        if request.body is None or (fault is not None and not fault.takes_effect):
            return _NEVER_SENT
        return act(request)

    return answer
