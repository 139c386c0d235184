"""The exit codes of `irmexport`, as its help and docs state them."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path

from irmcore.delivery.report import Report
from irmcore.errors import (
    ConfigurationError,
    IrmError,
    OperatorError,
    OutboxFull,
    TooManyRefused,
)

DONE = 0
FAILED = 1
CONFIGURATION = 2
ROWS_REFUSED = 3
NEEDS_PERSON = 4


def code_of(error: IrmError) -> int:
    """The exit code of an error."""
    if isinstance(error, (ConfigurationError, OperatorError)):
        return CONFIGURATION
    return ROWS_REFUSED if isinstance(error, TooManyRefused) else FAILED


def worst(codes: Iterable[int]) -> int:
    """The code of several outcomes together: a person being needed outweighs all."""
    order = (DONE, ROWS_REFUSED, FAILED, CONFIGURATION, NEEDS_PERSON)
    return max(codes, key=order.index, default=DONE)


def disk_trouble(error: OSError) -> IrmError:
    """An error of the file system that no other rule explains, in our words."""
    return OutboxFull(
        f"the file system answered with an error ({error.strerror or type(error).__name__})",
        where=str(error.filename) if error.filename else None,
        next_step="Look at the disk (space, rights, health), then run this again: what was accepted is kept.",
    )


def fault(error: Exception) -> IrmError:
    """An error that nobody foresaw: its type and where it came from, never its text."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return IrmError(
        f"this is a fault of irmexport ({type(error).__name__} at {places})",
        next_step="What was accepted is kept. Please report this line, with `irmexport --version`.",
    )


def code_of_drain(report: Report, *, paused: bool) -> int:
    """The exit code of a delivery: 4 if a person is needed, 1 if something waits for another try.

    A credential that cannot be read is a matter of configuration: 2.
    """
    if report.trouble == "credential":
        return CONFIGURATION
    if paused or report.held or report.dead or report.quarantined:
        return NEEDS_PERSON
    return FAILED if report.queued else DONE
