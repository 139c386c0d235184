"""What a workspace answers instead of rows, as far as an export does something about it.

`irmcore.errors` says what a person does next; these say what the export itself does first.
"""

from __future__ import annotations

from irmcore.errors import DataError, WaitError


class TooMuch(DataError):
    """The answer was cut off, or was not ready in the service's time: ask for less at a time."""


class QueryRefused(DataError):
    """The service does not take the query."""


class Throttled(WaitError):
    """The service wants to be asked later: after ``seconds``, if it said so."""

    def __init__(self, what: str, *, where: str, seconds: float | None, next_step: str) -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.seconds = seconds
