"""Errors of a workspace query that an export reacts to itself.

The classes of `irmcore.errors` say what a person does next. These say what the export tries first.
"""

from __future__ import annotations

from irmcore.errors import DataError, WaitError


class TooMuch(DataError):
    """The answer was truncated, or was not ready in the service's time: query less at a time."""


class QueryRefused(DataError):
    """The service rejects the query."""


class Throttled(WaitError):
    """The service asks to wait: ``seconds``, or None if it does not say how long."""

    def __init__(self, what: str, *, where: str, seconds: float | None, next_step: str) -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.seconds = seconds
